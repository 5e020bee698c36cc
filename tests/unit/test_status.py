from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orch import paths
from orch.cli import main, status_table
from orch.cli.status_table import as_json, lines, notes, part
from orch.errors import OrchError
from orch.model import Host, HostStatus, label
from orch.ops import cache
from orch.ops import hosts as ops_hosts
from orch.ops.status import status
from orch_agent.model import Refusal

from .fakes import FakeTransport, hosts, job, silent

FACTS = {"mem_total_bytes": 8, "mem_available_bytes": 4, "cpus": 2}


@pytest.fixture(autouse=True)
def at_home(home: Path) -> Iterator[None]:
    os.environ["TZ"] = "UTC"
    yield
    del os.environ["TZ"]


def well(*jobs: dict[str, object]) -> FakeTransport:
    return FakeTransport({"status": lambda _: {"jobs": list(jobs), "host": FACTS}})


def test_a_silent_host_is_shown_as_it_was() -> None:
    status(hosts(one=well(job("a")), two=well(job("b"))))
    told = status(hosts(one=well(job("a")), two=FakeTransport({"status": silent})))
    assert [host.error for host in told] == [None, "no answer within 10 s"]
    shown = lines(told)
    assert shown[0].split() == ["NAME", "HOST", "STATE", "STARTED", "MEMORY", "SEEN"]
    assert shown[1].split() == ["a", "one", "RUNNING", "-", "-", "now"]
    assert shown[2].split() == ["b", "two", "RUNNING", "-", "-", "0s", "ago"]
    assert next(notes(told)) == "orch: two: no answer within 10 s (last seen 0s ago)"
    document = as_json(told)
    assert [one["name"] for one in document["jobs"]] == ["a", "b"]
    assert [one["state"] for one in document["hosts"]] == ["running", "unreachable"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"as_of": 1, "jobs": 3, "host": {}}',
        '{"as_of": null, "jobs": [], "host": {}}',
        '{"as_of": 1, "jobs": [3], "host": {}}',
        '{"as_of": 1, "jobs": [{"name": "a"}], "host": {}}',
        '{"as_of": 1, "jobs": [{"name": "a", "run": 1, "state": "RUNNING", "mem_bytes": "x"}], "host": {}}',
        '{"as_of": 1, "jobs": [], "host": 3}',
        "[" * 100_000,
        "\x00\x00",
    ],
)
def test_a_corrupt_cache_disturbs_nothing(text: str) -> None:
    file = Path(paths.status_cache("one"))
    file.parent.mkdir(parents=True)
    file.write_text(text)
    told = status(hosts(one=FakeTransport({"status": silent})))
    assert (told[0].jobs, told[0].as_of) == ([], None)
    assert status(hosts(one=well(job("a"))))[0].jobs
    assert cache.names() == ["a"]


def test_a_cache_that_cannot_be_written_disturbs_nothing(home: Path) -> None:
    (home / ".cache").write_text("a file where a directory should be")
    assert status(hosts(one=well(job("a"))))[0].error is None
    assert cache.names() == []


def test_a_cache_that_is_a_directory_disturbs_nothing() -> None:
    Path(paths.status_cache("one")).mkdir(parents=True)
    assert status(hosts(one=well(job("a"))))[0].error is None
    assert status(hosts(one=FakeTransport({"status": silent})))[0].jobs == []


def test_only_the_plain_question_is_remembered() -> None:
    status(hosts(one=well(job("a"), job("b"))))
    status(hosts(one=well(job("a"))), names=["a"])
    status(hosts(one=well(job("a"), job("b"), job("c"))), show_all=True)
    assert cache.names() == ["a", "b"]
    told = status(hosts(one=FakeTransport({"status": silent})), names=["b", "c.1"])
    assert [one["name"] for one in told[0].jobs] == ["b"]


def test_the_cache_is_whole_and_private() -> None:
    status(hosts(one=well(job("a"))))
    file = Path(paths.status_cache("one"))
    assert json.loads(file.read_text())["jobs"][0]["name"] == "a"
    assert file.stat().st_mode & 0o077 == 0
    assert os.listdir(file.parent) == ["one.json"]


def told(*jobs: dict[str, object]) -> list[HostStatus]:
    return [HostStatus(Host("local", "local"), [{**one, "host": "local"} for one in jobs], FACTS, 0.0)]


def test_the_table_of_the_contract() -> None:
    running = job("train", started_at="2026-02-16T14:30:00.000Z", mem_bytes=int(5.8 * 2**30), mem_peak_bytes=2**40)
    ended = job("report", state="COMPLETED", started_at="2026-02-16T14:00:00Z", mem_peak_bytes=2**30)
    waiting = job("next", state="PENDING")
    assert lines(told(running, ended, waiting)) == [
        "NAME    STATE      STARTED              MEMORY",
        "train   RUNNING    2026-02-16 14:30:00  5.8GB",
        "report  COMPLETED  2026-02-16 14:00:00  1.0GB",
        "next    PENDING    -                    -",
    ]


def task(run: int, state: str = "PENDING", **more: object) -> dict[str, object]:
    return job("many", run, state, array_id="key", array_task=run - 1, **more)


def test_tasks_of_an_array_that_wait_are_one_row() -> None:
    jobs = [task(1, "COMPLETED", mem_peak_bytes=5 << 20), task(2, "COMPLETED", mem_peak_bytes=7 << 20)]
    jobs += [task(3, "RUNNING"), task(4, reason="waits for 4.0GB", mem_request_bytes=4 << 30), task(5, reason="waits")]
    jobs += [task(6, "FAILED"), task(7, due_at="2026-02-16T14:00:00Z", reason="attempt 2 of 4"), task(8), task(9)]
    assert lines(told(*jobs)) == [
        "NAME  RUN  STATE      STARTED  MEMORY       REASON",
        "many  1-2  COMPLETED  -        7.0MB",
        "many  3    RUNNING    -        -",
        "many  4-5  PENDING    -        4.0GB asked  waits for 4.0GB",
        "many  6    FAILED     -        -",
        "many  7    PENDING    -        -            attempt 2 of 4",
        "many  8-9  PENDING    -        -",
    ]
    assert len(part(told(*jobs), [0], header=False)) == 6
    assert part(told(*jobs), [0], header=True)[0].startswith("NAME")
    assert part(told(*jobs), [1], header=True) == []


def test_what_a_waiting_job_will_reserve() -> None:
    learned = job("a", state="PENDING", mem_request_bytes=1 << 30, mem_request_learned=True)
    assert lines(told(learned))[1].split()[-2:] == ["1.0GB", "learned"]
    assert "learned" not in lines(told({**learned, "state": "RUNNING"}))[1]


def test_why_a_job_ended_is_no_reason_to_wait() -> None:
    assert lines(told(job("a", state="FAILED", reason="killed by SIGKILL")))[0].split()[-1] == "MEMORY"


def test_the_run_is_shown_where_a_name_repeats() -> None:
    assert lines(told(job("a", 1, "FAILED"), job("a", 2)))[0].split()[:3] == ["NAME", "RUN", "STATE"]
    assert "RUN " not in lines(told(job("a", 2), job("b", 2)))[0]


def test_nothing_to_show_says_what_to_type() -> None:
    assert lines(told()) == []
    assert "orch run NAME" in next(notes(told()))


def test_what_a_host_says_cannot_command_the_terminal() -> None:
    hostile = job("a\x1b[2J", state="RUN\nNING", started_at="\x07")
    assert all(line.isprintable() for line in lines(told(hostile)))


def test_what_lives_stands_first_where_it_is_asked_for() -> None:
    old = job("old", state="FAILED", ended_at="2026-02-16T14:00:00.000Z")
    new = job("new", state="COMPLETED", ended_at="2026-02-16T15:00:00.000Z")
    known = told(old, job("one"), new, job("two", state="PENDING"))
    assert [row.split()[0] for row in lines(known)] == ["NAME", "old", "one", "new", "two"]
    assert [row.split()[0] for row in lines(known, live_first=True)] == ["NAME", "one", "two", "new", "old"]


def test_a_job_that_waits_for_input_is_told() -> None:
    asks = job("ask", 3, waiting_for_input=True)
    assert list(notes(told(asks, job("b", waiting_for_input=False)), by_name=True)) == [
        "ask.3 waits for input: orch send ask TEXT"
    ]
    asks = job("ask", 3, waiting_for_input=True, prompt="sure?\x1b[2J ")
    assert list(notes(told(asks))) == ["ask.3 waits for input (sure?\\x1b[2J ): orch send ask TEXT"]
    over = job("ask", state="FAILED", waiting_for_input=True)
    assert list(notes(told(over), by_name=True)) == []
    assert lines(told(asks))[1].split()[1] == "RUNNING"


def test_a_job_that_does_nothing_is_told() -> None:
    still = job("still", 3, waiting_for_input=False, stalled_seconds=2400.0, reason="stalled: nothing for 40m")
    assert list(notes(told(still, job("b", stalled_seconds=None)))) == [
        "still.3 stalled: nothing for 40m: orch attach still"
    ]


@pytest.mark.parametrize(("name", "shown"), [("e2", ["E2"]), ("E2.1", ["E2"]), ("e2.1", ["E2"]), ("e2.2", [])])
def test_upper_and_lower_case_are_one_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, shown: list[str]
) -> None:
    status(hosts(one=well(job("E2"))))
    silent_host = status(hosts(one=FakeTransport({"status": silent})), names=[name])
    assert [one["name"] for one in silent_host[0].jobs] == shown
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(one=well(job("E2"))))
    if shown:
        assert main.dispatch(["status", name]) == 0
    else:
        with pytest.raises(OrchError, match=f"there is no job called {name} on one"):
            main.dispatch(["status", name])


def test_in_json_there_is_a_document_or_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(one=well()))
    with pytest.raises(OrchError, match="there is no job called nosuch on one"):
        main.dispatch(["status", "nosuch", "--json"])
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(one=well(job("a"))))
    assert main.dispatch(["status", "a", "nosuch", "--json"]) == 1
    said = capsys.readouterr()
    assert [one["name"] for one in json.loads(said.out)["jobs"]] == ["a"] and said.err == ""


def test_a_host_that_needs_a_person_is_no_silent_one() -> None:
    def refuse(_: object) -> None:
        raise OrchError("not_authorised", "one asks for a password", "orch ssh one")

    def dispatch(**transports: FakeTransport) -> OrchError:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ops_hosts, "load", lambda: hosts(**transports))
            with pytest.raises(OrchError) as caught:
                main.dispatch(["status"])
        return caught.value

    locked = FakeTransport({"status": refuse})
    assert dispatch(one=locked).kind == "not_authorised"
    assert dispatch(one=locked, two=FakeTransport({"status": silent})).kind == "host"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("no answer within 10 s", "one: no answer within 10 s"),
        ("one (me@127.0.0.1) refuses connections", "one (me@127.0.0.1) refuses connections"),
        ("the host key of one is not known here", "the host key of one is not known here"),
        ("nobody knows someone-one", "one: nobody knows someone-one"),
    ],
)
def test_a_host_is_named_once(monkeypatch: pytest.MonkeyPatch, error: str, shown: str) -> None:
    def refuse(_: object) -> None:
        raise OrchError("host", error)

    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(one=FakeTransport({"status": refuse})))
    with pytest.raises(OrchError) as caught:
        main.dispatch(["status"])
    assert caught.value.message == shown


def test_watching_says_why_every_host_is_silent_and_what_to_type() -> None:
    silent_one = HostStatus(Host("one", "ssh"), [], {}, None, "one refuses connections", "orch doctor one", "host")
    assert list(notes([silent_one])) == ["orch: one refuses connections", "  orch doctor one"]


def test_what_was_submitted_since_is_shown_too() -> None:
    status(hosts(one=well(job("a"), job("b", 1), job("c", 1, "FAILED"))))
    seen = cache.load(Host("one", "ssh"))
    for new in (job("b", 2), job("c", 2), job("d"), job("d")):
        cache.add(Host("one", "ssh"), new)
    told = status(hosts(one=FakeTransport({"status": silent})))[0]
    assert [label(one) for one in told.jobs] == ["a.1", "c.1", "b.2", "c.2", "d.1"]
    assert seen and told.as_of == seen.as_of


def test_a_submission_sent_again_puts_no_later_run_aside() -> None:
    for new in (job("a", 2), job("a", 1, "FAILED")):
        cache.add(Host("one", "ssh"), new)
    assert cache.names() == ["a"] and len(status(hosts(one=FakeTransport({"status": silent})))[0].jobs) == 2


def test_a_misspelt_name_is_answered_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    status(hosts(one=well(job("hello"))))
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(one=well()))
    with pytest.raises(OrchError) as caught:
        main.dispatch(["status", "heloo.1"])
    assert caught.value.hint == "did you mean hello?\norch status --all"
    with pytest.raises(OrchError) as caught:
        main.dispatch(["status", "Hello"])
    assert caught.value.hint == "orch status --all"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"jobs": 5, "host": {}},
        {"jobs": [{"name": "x"}], "host": {}},
        {"jobs": [], "host": 3},
        {"error": {"kind": "bug", "message": "x"}},
        {"error": {"kind": "usage", "message": "x"}},
    ],
)
def test_a_host_that_talks_nonsense_hides_no_other(answer: dict[str, object]) -> None:
    """Nor is what it says remembered."""
    one, two = status(hosts(one=well(job("a")), two=FakeTransport({"status": lambda _: answer})))
    assert [row["name"] for row in one.jobs] == ["a"] and one.error is None
    assert two.error and two.as_of is None
    assert cache.names() == ["a"]


def test_a_name_that_is_none_is_wrong_usage(home: Path) -> None:
    with pytest.raises(Refusal) as caught:
        status(hosts(one=well(job("a"))), names=["a b"])
    assert caught.value.kind == "usage"


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "$(touch x)"])
def test_names_that_are_none_are_never_completed(name: str) -> None:
    file = Path(paths.status_cache("one"))
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"as_of": 1.0, "jobs": [job(name)], "host": {}}))
    assert cache.names() == []


def test_a_thousand_rows_are_laid_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a host that answers is not looked up in the cache."""
    seen: list[object] = []
    monkeypatch.setattr(ops_hosts, "load", lambda: hosts(one=well(job("a"), job("b"))))
    monkeypatch.setattr(cache, "load", seen.append)
    monkeypatch.setattr(status_table, "table", lambda rows, _: seen.append(rows) or ["line"] * len(rows))
    assert main.dispatch(["status"]) == 0
    assert len(seen) == 1
