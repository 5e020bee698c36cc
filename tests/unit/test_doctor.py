"""What doctor makes of a host's facts, and how it goes on from there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from orch.cli import main
from orch.errors import OrchError
from orch.model import Check
from orch.ops import checks, doctor
from orch.ops import hosts as ops_hosts

from .fakes import FakeHosts, FakeTransport, hosts, remote, silent

GB = 1 << 30


def facts(**more: Any) -> dict[str, Any]:
    """A host that has everything."""

    def place(path: str) -> dict[str, Any]:
        room = {"total_bytes": 100 * GB, "free_bytes": 50 * GB, "total_files": 10**6, "free_files": 10**6}
        return {"path": path, **room, "trouble": None}

    return {
        "agents": [{"path": "/home/me/.orch/agent-1", "mine": True, "processes": 0}],
        "python": {"version": "3.9.18", "executable": "/usr/bin/python3", "sqlite": "3.40.1"},
        "tmux": {"path": "/usr/bin/tmux", "version": "3.3a", "install": "sudo apt-get install -y tmux"},
        "shell": {"shell": "/bin/bash", "seconds": 0.01, "out_bytes": 0, "err_bytes": 0, "status": 0},
        "login": login(),
        "places": [place("/home/me/.orch"), place("/home/me/logs")],
        "ledger": {"path": "/home/me/.orch/ledger.db", "bytes": 8192, "checked": True, "trouble": None},
        "machine": {"ours": True, "mend": "rm machine"},
        "restart": restart(),
        "memory": {"mem_total_bytes": 16 * GB, "mem_available_bytes": 8 * GB, "cpus": 4},
        "now": 1000.0,
        **more,
    }


def login(**more: Any) -> dict[str, Any]:
    known = {"systemd": True, "lingers": True, "user_bus": True, "is_root": False, "kills_user_processes": False}
    return {"user": "me", **known, **more}


def restart(**more: Any) -> dict[str, Any]:
    known = {"systemd": True, "prepared": True, "lingers": True, "cron": True, "scheduled": False, "user": "me"}
    return {"command": "python agent wake", **known, **more}


def judged(name: str, **more: Any) -> Check:
    """One check of a host that has everything but for what is given."""
    return next(check for check in checks.judge(facts(**more), 999.0, 1001.0) if check.name == name)


def changed(name: str, **more: Any) -> dict[str, Any]:
    """A fact of a host that has everything, changed."""
    return {name: {**facts()[name], **more}}


def test_a_host_that_has_everything_needs_nothing() -> None:
    found = checks.judge(facts(), 999.0, 1001.0)
    assert [check.state for check in found] == ["ok"] * 12
    assert not any(check.mend for check in found)


@pytest.mark.parametrize("said", [3, "x", [], [3], {}, {"path": []}, [[[]]], True, 10**400])
@pytest.mark.parametrize("fact", facts())
def test_nonsense_about_one_thing_hides_no_other(fact: str, said: object) -> None:
    found = checks.judge(facts(**{fact: said}), 999.0, 1001.0)
    assert len(found) == 12 and sum(check.state == "ok" for check in found) >= 10
    assert all(isinstance(check.says, str) and isinstance(check.mend, str) for check in found)


@pytest.mark.parametrize("fact", [name for name in facts() if name != "now"])
def test_what_a_host_cannot_tell_is_skipped(fact: str) -> None:
    states = [check.state for check in checks.judge(facts(**{fact: None}), 999.0, 1001.0)]
    assert states.count("skipped") == (2 if fact == "places" else 1) and set(states) == {"ok", "skipped"}


@pytest.mark.parametrize(
    ("name", "fact", "state", "said", "mend"),
    [
        ("tmux", changed("tmux", path=None, version=None), "warning", "not installed", "sudo apt-get install -y tmux"),
        ("tmux", changed("tmux", version="1.8"), "warning", "1.8 at /usr/bin/tmux", "sudo apt-get install -y tmux"),
        ("tmux", changed("tmux", version="2.2"), "ok", "2.2", ""),
        ("tmux", changed("tmux", version="next-3.5"), "ok", "next-3.5", ""),
        ("shell", changed("shell", seconds=1.24), "warning", "1.2 s", "[[ $- == *i* ]] || return' ~/.bashrc"),
        ("shell", changed("shell", out_bytes=6), "warning", "prints 6 bytes", "~/.bashrc"),
        ("shell", changed("shell", err_bytes=6), "ok", "", ""),
        ("shell", changed("shell", status=None, seconds=5.01), "failed", "within 5 s", "~/.bashrc"),
        ("shell", changed("shell", status=3), "failed", "status 3", "~/.bashrc"),
        ("shell", changed("shell", shell="/usr/bin/zsh", seconds=1.0), "warning", "/usr/bin/zsh takes", "~/.zshenv"),
        ("shell", changed("shell", shell="/usr/bin/fish", seconds=1.0), "warning", "fish takes", "config.fish"),
        ("shell", changed("shell", shell="/bin/sh", seconds=1.0), "warning", "sh takes", "/bin/sh -xc :"),
        ("ledger", changed("ledger", bytes=0), "ok", "no job yet", ""),
        ("ledger", changed("ledger", checked=False), "ok", "too large", ""),
        ("ledger", changed("ledger", broken=["/o/l.db.broken-1"]), "warning", "still kept", "rm -f /o/l.db.broken-1 "),
        ("machine", changed("machine", ours=False), "warning", "copied from another machine", "rm machine"),
        ("restart", changed("restart", scheduled=True), "ok", "cron", ""),
        ("restart", changed("restart", prepared=False), "ok", "once the first job has run", ""),
        ("restart", changed("restart", lingers=False), "warning", "linger is off", "sudo loginctl enable-linger me"),
        ("restart", changed("restart", systemd=False), "warning", "with the next command", "crontab -l"),
        ("restart", changed("restart", systemd=False, cron=False), "ok", "neither systemd", ""),
        ("ledger", changed("ledger", trouble={"says": "damaged", "mend": "mv a b"}), "failed", "damaged", "mv a b"),
        ("memory", changed("memory", mem_available_bytes=GB // 2), "warning", "512.0MB of 16.0GB", "ps -eo"),
        ("memory", changed("memory", mem_available_bytes=None), "skipped", "", ""),
        ("clock", {"now": 1007.0}, "warning", "6 s ahead of", "set-ntp"),
        ("clock", {"now": 993.0}, "warning", "6 s behind", "set-ntp"),
        ("clock", {"now": 1005.0}, "ok", "", ""),
        ("clock", {"now": 1000.0 + 3601}, "warning", "60 min ahead", "set-ntp"),
        ("clock", {"now": 1000.0 - 86401}, "warning", "24.0 h behind", "set-ntp"),
    ],
)
def test_what_is_wrong_and_what_mends_it(name: str, fact: dict[str, Any], state: str, said: str, mend: str) -> None:
    check = judged(name, **fact)
    assert (check.state, bool(check.mend)) == (state, bool(mend)) and said in check.says and mend in check.mend


@pytest.mark.parametrize(
    ("known", "state", "mend"),
    [
        (login(systemd=False, lingers=False, kills_user_processes=None), "ok", ""),
        (login(is_root=True, lingers=False, kills_user_processes=True), "ok", ""),
        (login(kills_user_processes=True), "ok", ""),
        (login(kills_user_processes=False, lingers=False), "ok", ""),
        (login(kills_user_processes=True, lingers=False), "failed", "sudo loginctl enable-linger me"),
        (login(kills_user_processes=None, lingers=False), "warning", "sudo loginctl enable-linger me"),
        (login(kills_user_processes=True, user_bus=False), "failed", "KillUserProcesses=no"),
        (login(kills_user_processes=True, user_bus=False, lingers=False), "failed", "enable-linger"),
    ],
)
def test_who_lives_on_at_logout(known: dict[str, Any], state: str, mend: str) -> None:
    check = judged("logout", login=known)
    assert check.state == state and mend in check.mend and bool(mend) == bool(check.mend)


@pytest.mark.parametrize(
    ("change", "name", "state", "said"),
    [
        ({"free_bytes": GB // 2}, "disk", "warning", "512.0MB of 100.0GB free for /home/me/logs"),
        ({"free_bytes": 1 << 20}, "disk", "failed", "1.0MB of"),
        ({"free_files": 9}, "disk", "warning", "only 9 more files"),
        ({"total_files": 0, "free_files": 0}, "disk", "ok", ""),
        ({"trouble": {"says": "cannot use it", "mend": "df -h"}}, "directory", "failed", "cannot use it"),
    ],
)
def test_either_place_may_want_room(change: dict[str, Any], name: str, state: str, said: str) -> None:
    own, logs = facts()["places"]
    check = judged(name, places=[own, {**logs, **change}])
    assert check.state == state and said in check.says and bool(check.mend) == (state != "ok")


def test_agents_that_nobody_uses_are_named_when_they_are_many() -> None:
    def agents(idle: int) -> list[dict[str, Any]]:
        rest = [{"path": f"/home/me/.orch/agent-x{n}", "mine": False, "processes": 0} for n in range(idle)]
        used = {"path": "/home/me/.orch/agent-2", "mine": False, "processes": 3}
        return [*facts()["agents"], used, *rest]

    few, many = judged("agent", agents=agents(1)), judged("agent", agents=agents(checks.MANY_AGENTS + 1))
    assert few.state == "ok" and few.says.endswith("agent-1; 1 older or newer in use; 1 not in use")
    assert many.state == "warning" and many.mend.startswith("rm -rf /home/me/.orch/agent-x0 ")
    assert "agent-1 " not in many.mend and "agent-2" not in many.mend and not many.safe


def test_only_what_harms_nothing_is_ever_run_for_the_person() -> None:
    broken = facts(
        tmux={**facts()["tmux"], "path": None},
        login=login(kills_user_processes=True, lingers=False),
        now=5000.0,
        **changed("shell", status=3),
        **changed("ledger", trouble={"says": "damaged", "mend": "mv a b"}),
    )
    safe = {check.name for check in checks.judge(broken, 999.0, 1001.0) if check.safe}
    assert safe == {"tmux", "logout"}
    unknown = judged("tmux", **changed("tmux", path=None, install="install tmux with this system's package manager"))
    assert unknown.state == "warning" and not unknown.safe


def answering(**more: Any) -> FakeTransport:
    """A host somewhere else."""

    def examined(_: Any) -> dict[str, Any]:
        import time

        return {**facts(now=time.time()), **more}

    transport = FakeTransport({"examine": examined})
    transport.here = False
    return transport


def lone(transport: FakeTransport) -> list[Check]:
    ((_, found),) = doctor.examine([remote(transport)])
    return found


class Provider:
    """Says of every way what a test tells it to."""

    def __init__(self) -> None:
        self.way: list[Check] = []

    def checks(self, _: Any) -> list[Check]:
        return self.way


@pytest.fixture(autouse=True)
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    one = Provider()
    monkeypatch.setattr(doctor, "provider_of", lambda _: one)
    return one


def test_the_way_comes_first_and_where_there_is_none_nothing_more_is_asked(provider: Provider) -> None:
    host = answering()
    provider.way = [Check("connection", "ok", "fine")]
    assert [check.name for check in lone(host)][:2] == ["connection", "agent"]
    provider.way = [Check("connection", "failed", "refused", "ssh box", here=True)]
    assert lone(host) == provider.way and len(host.asked) == 1


def test_between_a_machine_and_itself_there_is_no_way() -> None:
    host = answering()
    assert {"shell", "clock"} <= {check.name for check in lone(host)}
    host.here = True
    assert not {"shell", "clock"} & {check.name for check in lone(host)}


def test_root_needs_no_sudo(provider: Provider) -> None:
    provider.way = [
        Check("sessions", "warning", "few", "sudo sed x && sudo y"),
        Check("keys", "ok", "", "sudo", here=True),
    ]
    low = {"mem_total_bytes": 100, "mem_available_bytes": 1, "cpus": 1}
    mends = [check.mend for check in lone(answering(login=login(is_root=True), memory=low)) if check.mend]
    assert mends[:2] == ["sed x && y", "sudo"] and mends[2].startswith("ps ")
    assert lone(answering())[0].mend == "sudo sed x && sudo y"


def test_a_mend_is_typed_here() -> None:
    away, here = remote(answering()), remote(FakeTransport())
    plain, odd = Check("a", "failed", "", "sudo x"), Check("a", "failed", "", "a; cat ~/b")
    assert doctor.typed(away, plain) == "orch ssh box -- sudo x"
    assert doctor.typed(away, odd) == "orch ssh box -- 'a; cat ~/b'"
    assert doctor.typed(here, plain) == doctor.typed(away, plain._replace(here=True)) == "sudo x"
    assert doctor.typed(away, Check("a", "ok", "")) == ""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``orch doctor`` with these hosts and words."""

    def called(known: FakeHosts, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(ops_hosts, "load", lambda: known)
        status = main.dispatch(["doctor", *words])
        return status, *capfd.readouterr()

    return called


Run = Callable[..., tuple[int, str, str]]


def test_one_silent_host_does_not_stop_the_others(run: Run) -> None:
    known = hosts(one=answering(), two=FakeTransport({"examine": silent}))
    status, out, _ = run(known)
    assert status == 1 and "\none\n" in f"\n{out}" and "3.9.18 at /usr/bin/python3" in out
    assert "failed   agent  no answer within 10 s" in out
    status, out, _ = run(known, "--json")
    one, two = json.loads(out)["hosts"]
    assert (
        status == 1
        and one["name"] == "one"
        and two["checks"] == [{"name": "agent", "state": "failed", "says": "no answer within 10 s", "mend": None}]
    )
    assert run(known, "one")[0] == 0


def test_hosts_stand_in_the_order_of_the_configuration(run: Run) -> None:
    second_is_done = threading.Event()
    one, two = answering(), answering()
    first, second = one.verbs["examine"], two.verbs["examine"]

    def later(request: Any) -> Any:
        assert second_is_done.wait(10)
        return first(request)

    def sooner(request: Any) -> Any:
        second_is_done.set()
        return second(request)

    one.verbs["examine"], two.verbs["examine"] = later, sooner
    lines = run(hosts(one=one, two=two))[1].splitlines()
    assert lines.index("one") < lines.index("two")


def test_a_host_that_takes_long_comes_last(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SOON", 0.2)
    goes_on = threading.Event()
    one = answering()
    examine = one.verbs["examine"]

    def slow(request: Any) -> Any:
        goes_on.wait(10)
        return examine(request)

    one.verbs["examine"] = slow
    shown = doctor.examine(hosts(one=one, two=answering()).all())
    assert next(shown)[0].host.name == "two"
    goes_on.set()
    assert next(shown)[0].host.name == "one"


def test_a_warning_is_no_failure(run: Run) -> None:
    status, out, err = run(hosts(box=answering(tmux={**facts()["tmux"], "path": None})))
    assert (status, err) == (0, "")
    assert "warning  tmux" in out and "\n" + " " * 22 + "orch ssh box -- sudo apt-get install -y tmux\n" in out


def test_a_host_cannot_command_the_terminal(run: Run) -> None:
    _, out, _ = run(hosts(box=answering(**changed("shell", shell="\x1b[2J\n/bin/sh", seconds=1.0))))
    assert "\x1b" not in out and "\\x1b[2J\\n/bin/sh takes 1.0 s" in out


def test_nothing_is_mended_without_being_asked_for(run: Run) -> None:
    known = hosts(box=answering())
    with pytest.raises(OrchError) as caught:
        run(known, "--fix")
    assert caught.value.kind == "refused" and caught.value.hint == "orch doctor --fix --yes"
    assert known.transports["box"].asked == []


def test_fix_says_what_it_runs_and_looks_again(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    installed = tmp_path / "installed"
    command = f"echo at work; touch {installed}"
    host = answering()
    examine = host.verbs["examine"]

    def examined(request: Any) -> Any:
        path = "/usr/bin/tmux" if installed.exists() else None
        return {**examine(request), "tmux": {"path": path, "version": "3.3", "install": command}}

    host.verbs["examine"] = examined
    monkeypatch.setattr(FakeTransport, "login", lambda _, words, *__: ["sh", "-c", words], raising=False)
    status, out, err = run(hosts(box=host), "--fix", "--yes", "--json")
    assert status == 0 and "orch ssh box -- 'echo at work" in err and "at work\n  done" in err
    (tmux,) = [one for one in json.loads(out)["hosts"][0]["checks"] if one["name"] == "tmux"]
    assert (tmux["state"], tmux["mend"]) == ("ok", None)
    _, out, err = run(hosts(box=host), "--fix", "--yes")
    assert err == "" and out.count("tmux") == 2


def test_a_mend_that_fails_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    host = answering(tmux={"path": None, "version": None, "install": "exit 7"})
    monkeypatch.setattr(FakeTransport, "login", lambda _, words, *__: ["sh", "-c", words], raising=False)
    status, out, err = run(hosts(box=host), "--fix", "--yes")
    assert status == 0 and "failed: it ended with status 7" in err and out.count("warning  tmux") == 2
