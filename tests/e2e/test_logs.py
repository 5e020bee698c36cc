"""The bytes a job wrote: all of them, once, and nothing else."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.agent import Agent, eventually
from tests.support.cli import Orch
from tests.support.disk import wrong_clock
from tests.support.laptop import Laptop
from tests.support.machine import Machine

FIFTY_MB = 6_600_000  # lines of seq: 51.7 MB
_PIPE = 1 << 17


def sha256_of_lines(count: int) -> str:
    total = hashlib.sha256()
    for first in range(1, count + 1, 100_000):
        total.update("".join(f"{n}\n" for n in range(first, min(first + 100_000, count + 1))).encode())
    return total.hexdigest()


@pytest.mark.parametrize("words", [[], ["--no-tty"]], ids=["tty", "no-tty"])
def test_following_ends_with_every_last_byte(orch: Orch, words: list[str]) -> None:
    expected = sha256_of_lines(FIFTY_MB)
    followed = hashlib.sha256()
    with orch.popen("run", "flood", f"seq {FIFTY_MB}; exit 5", "-f", *words) as process:
        assert process.stdout is not None
        while chunk := process.stdout.read1(1 << 20):  # type: ignore[attr-defined]
            followed.update(chunk)
        assert process.wait(60) == 5
    assert followed.hexdigest() == expected
    log = (orch.home / "logs" / "flood" / "run.log").read_bytes()
    assert hashlib.sha256(log if words else log.replace(b"\r\n", b"\n")).hexdigest() == expected
    with orch.popen("logs", "flood", "--raw") as process:
        raw, _ = process.communicate(timeout=60)
    assert raw == log


def test_carriage_returns_of_its_own(orch: Orch) -> None:
    assert orch("run", "tail", "printf 'one\\r\\n\\r\\rtwo\\r'", "-f").out == "one\r\n\r\rtwo\r"
    assert orch("logs", "tail").out == "one\r\n\r\rtwo\r"


def test_notes_go_to_standard_error(orch: Orch) -> None:
    done = orch("run", "job", "echo out", "-f")
    assert (done.status, done.out) == (0, "out\n")
    assert done.err == "job.1 submitted to local; follow it: orch logs -f job\njob.1 COMPLETED, exit status 0\n"


def test_without_a_terminal_no_byte_is_changed(orch: Orch) -> None:
    command = "printf 'a\\r\\nb\\n\\377\\000\\033[1m\\r'"
    expected = b"a\r\nb\n\xff\0\x1b[1m\r"
    with orch.popen("run", "plain", "--no-tty", "-f", command) as process:
        assert process.communicate(timeout=30)[0] == expected
    with orch.popen("logs", "plain") as process:
        assert process.communicate(timeout=30)[0] == expected


def test_lines_come_as_they_are_written(orch: Orch) -> None:
    orch("run", "slow", "for n in 1 2 3; do echo $n; read x; done")
    with orch.popen("logs", "-f", "slow") as process:
        assert process.stdout is not None
        for number in (b"1\n", b"2\n", b"3\n"):
            assert process.stdout.readline() == number
            assert orch("send", "slow", "on").status == 0
            assert process.stdout.readline() == b"on\n"
        assert process.wait(30) == 0


def test_several_follow(orch: Orch) -> None:
    orch("run", "job", "until [ -e go ]; do sleep 0.05; done; seq 20000; exit 3")
    followers = [orch.popen("logs", "-f", "job") for _ in range(3)]
    (orch.home / "go").touch()
    expected = "".join(f"{n}\n" for n in range(1, 20001)).encode()
    for follower in followers:
        with follower:
            assert follower.communicate(timeout=60)[0] == expected
            assert follower.returncode == 0


def test_tail(orch: Orch) -> None:
    orch("run", "job", "seq 100; printf end", "--wait")
    assert orch("logs", "job", "--tail", "3").out == "99\n100\nend"
    assert orch("logs", "job", "--tail", "0").out == ""
    assert len(orch("logs", "job", "--tail", "1000").out.splitlines()) == 101
    assert orch("logs", "job", "-f", "--tail", "1").out == "end"


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_how_long_ago_is_told_by_the_hosts_clock(
    machines: Callable[..., Machine], laptop: Callable[..., Laptop], seconds: int
) -> None:
    mine = laptop(machines(sshd=[wrong_clock(seconds)]))
    job = mine("run", "job", "echo said", "--wait", "--json").json["job"]
    off = datetime.fromisoformat(job["submitted_at"]).timestamp() - time.time()
    assert abs(off - seconds) < 300
    assert mine("logs", "job", "--since", "10m").out == "said\n"
    assert mine("logs", "job", "--since", "0s").out == ""


def test_since(orch: Orch) -> None:
    orch("run", "job", "echo before; until [ -e go ]; do sleep 0.05; done; echo after")
    eventually(lambda: orch("logs", "job").out, "the first line is there")
    time.sleep(1.1)  # the index of times has an entry a second
    between = time.time()
    (orch.home / "go").touch()
    orch("wait", "job")
    utc = datetime.fromtimestamp(between, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    local = datetime.fromtimestamp(between).strftime("%Y-%m-%d %H:%M:%S.%f")
    for since in (utc, local):
        assert orch("logs", "job", "--since", since).out == "after\n"
    assert orch("logs", "job", "--since", "1h").out == "before\nafter\n"
    assert orch("logs", "job", "--since", "0s").out == ""
    assert orch("logs", "job", "--since", "yesterday").status == 2


def test_grep(orch: Orch) -> None:
    orch("run", "job", "seq 1000; echo 'loss=0.5 é'", "--wait")
    assert orch("logs", "job", "--grep", "^99.$").out.split() == [str(n) for n in range(990, 1000)]
    assert orch("logs", "job", "--grep", r"loss=\d").out == "loss=0.5 é\n"
    assert orch("logs", "job", "--grep", "é$").out == "loss=0.5 é\n"
    assert orch("logs", "job", "--grep", "^99.$", "-f").out.split() == [str(n) for n in range(990, 1000)]
    assert orch("logs", "job", "--grep", "nothing").out == ""
    done = orch("logs", "job", "--grep", "(")
    assert (done.status, "not a regular expression" in done.err) == (2, True)


def test_a_reader_sees_everything_once(orch: Orch) -> None:
    orch("run", "job", "for n in 1 2 3; do seq 5; until [ -e go$n ]; do sleep 0.05; done; done; printf last")
    five = "1\n2\n3\n4\n5\n"
    log = orch.home / "logs" / "job" / "1.log"
    for number in (1, 2, 3):
        eventually(lambda n=number: log.stat().st_size == n * 15, "five more lines are there")
        assert orch("logs", "job", "--new", "me").out == five
        assert orch("logs", "job", "--new", "me").out == ""
        (orch.home / f"go{number}").touch()
    orch("wait", "job")
    assert orch("logs", "job", "--new", "me").out == "last"
    assert orch("logs", "job", "--new", "me").out == ""
    assert orch("logs", "job", "--new", "other").out == five * 3 + "last"


def test_each_run_is_new_to_a_reader(orch: Orch) -> None:
    for _ in range(2):
        orch("run", "job", "echo hello", "--wait")
        assert orch("logs", "job", "--new", "me").out == "hello\n"


def test_what_a_reader_could_not_take_is_shown_again(orch: Orch) -> None:
    orch("run", "job", "seq 200000", "--no-tty", "--wait")
    whole = (orch.home / "logs" / "job" / "1.log").read_bytes()
    with orch.popen("logs", "job", "--new", "me") as process:
        assert process.stdout is not None
        seen = process.stdout.read(1000)
        process.stdout.close()
        assert process.wait(30) == 141
    with orch.popen("logs", "job", "--new", "me") as process:
        rest, _ = process.communicate(timeout=30)
    assert whole.endswith(rest)
    assert whole.startswith(seen)
    assert len(rest) >= len(whole) - _PIPE, "more is lost than was on its way in the pipe"


def test_a_killed_reader_loses_nothing(orch: Orch) -> None:
    orch("run", "job", "seq 200000", "--no-tty", "--wait")
    whole = (orch.home / "logs" / "job" / "1.log").read_bytes()
    with orch.popen("logs", "job", "--new", "me") as process:
        assert process.stdout is not None
        process.stdout.read(10)
        process.kill()
    assert orch("logs", "job", "--new", "me").out.encode() == whole


@pytest.mark.parametrize("reader", ["a b", "../x", "", "é"])
def test_readers_have_names(orch: Orch, reader: str) -> None:
    orch("run", "job", "true", "--wait")
    assert orch("logs", "job", "--new", reader).status == 2


def test_an_older_run(orch: Orch) -> None:
    for word in ("first", "second"):
        orch("run", "job", f"echo {word}", "--wait")
    assert orch("logs", "job").out == "second\n"
    assert orch("logs", "job.1").out == "first\n"
    done = orch("logs", "job.3")
    assert (done.status, "job has runs 1 to 2" in done.err) == (1, True)


def test_nobody_reads_any_more(orch: Orch) -> None:
    orch("run", "job", "seq 1000000", "--no-tty", "--wait")
    with orch.popen("logs", "job") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


def test_a_full_disk_is_said(orch: Orch) -> None:
    orch("run", "job", "seq 100", "--wait")
    with Path("/dev/full").open("wb") as full, orch.popen("logs", "job", stdout=full) as process:
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err.decode().startswith("orch: No space left")) == (1, True)


def test_send_types_a_line(orch: Orch, agent: Agent) -> None:
    orch("run", "job", 'read -r a; read -r b; echo; echo "[$a][$b]"')
    agent.running("job")
    assert orch("send", "job", "two  words", "and $HOME", "'x'").out == "typed into job.1\n"
    assert orch("send", "job", "--", "-f").status == 0
    orch("wait", "job")
    assert orch("logs", "job", "--tail", "1").out == "[two  words and $HOME 'x'][-f]\n"
    assert orch("send", "job", "late").status == 1
