"""A job's life: how it begins, what it sees, how it ends."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.agent import Agent, Refused


def test_a_job_runs_in_a_login_shell_and_ends(agent: Agent) -> None:
    job = agent.finished("hello", "shopt -q login_shell && echo login; echo $0; pwd; tty | cut -c1-9")
    assert (job["state"], job["exit_code"], job["run"], job["attempt"]) == ("COMPLETED", 0, 1, 1)
    assert agent.log("hello").split() == [b"login", b"bash", str(agent.home).encode(), b"/dev/pts/"]


@pytest.mark.parametrize("code", [0, 1, 2, 77, 126, 127, 128, 130, 137, 255])
def test_exit_statuses_are_told(agent: Agent, code: int) -> None:
    job = agent.finished("code", f"exit {code}")
    assert (job["state"], job["exit_code"], job["signal"]) == ("FAILED" if code else "COMPLETED", code, None)


def test_every_exit_status_from_one_batch(agent: Agent) -> None:
    """All 256, eight at a time."""
    for first in range(0, 256, 8):
        names = [f"x{code}" for code in range(first, first + 8)]
        for code, name in enumerate(names, first):
            agent.submit(name, f"exit {code}", tty=False)
        jobs = agent.call("wait", jobs=names, timeout=30)["jobs"]
        assert [job["exit_code"] for job in jobs] == list(range(first, first + 8))


_DEADLY = sorted(
    number
    for number in signal.valid_signals()
    if number
    not in {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    | {signal.SIGCONT, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH}
    and number < signal.SIGRTMIN
)


@pytest.mark.parametrize("number", [*_DEADLY, signal.SIGRTMIN])
def test_dying_by_a_signal_is_told(agent: Agent, number: int) -> None:
    job = agent.finished("die", f"exec sh -c 'kill -{int(number)} $$; sleep 5'")
    assert (job["state"], job["exit_code"], job["signal"]) == ("FAILED", None, int(number))


def test_home_bin_is_on_the_path(agent: Agent) -> None:
    tool = agent.home / "bin" / "mytool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho from-home-bin\n")
    tool.chmod(0o755)
    agent.finished("tool", "mytool")
    assert agent.log("tool") == b"from-home-bin\r\n"


def test_environment_umask_and_directory(agent: Agent, tmp_path: Path) -> None:
    command = 'echo "$A|$ORCH_JOB|$ORCH_JOB_NAME|$ORCH_JOB_RUN|$TERM|${TMUX-none}"; pwd; umask'
    agent.finished("env", command, env={"A": "x 'y' \"z\" $HOME"}, cwd=str(tmp_path))
    lines = agent.log("env").decode().split("\r\n")
    assert lines[:3] == ["x 'y' \"z\" $HOME|env.1|env|1|xterm-256color|none", str(tmp_path), "0022"]


def test_names_count_up(agent: Agent) -> None:
    assert [agent.finished("again", "true")["run"] for _ in range(3)] == [1, 2, 3]
    assert agent.show("again.2")["job"]["run"] == 2
    assert (agent.home / "logs" / "again" / "run.log").resolve().name == "3.log"
    with pytest.raises(Refused, match=r"again has runs 1 to 3") as refused:
        agent.show("again.4")
    assert refused.value.kind == "not_found"


def test_upper_and_lower_case_share_their_runs(agent: Agent) -> None:
    """On a file system that does not tell them apart, their logs would be one file."""
    assert agent.finished("Train", "true")["run"] == 1
    assert agent.finished("train", "true")["run"] == 2


def test_a_lost_ledger_does_not_cost_a_log(agent: Agent) -> None:
    agent.finished("keep", "echo precious")
    (agent.root / "ledger.db").unlink()
    assert agent.finished("keep", "echo new")["run"] == 2
    assert (agent.home / "logs" / "keep" / "1.log").read_bytes() == b"precious\r\n"


def test_without_a_terminal(agent: Agent) -> None:
    job = agent.finished("plain", "test -t 0 || test -t 1 || test -t 2 || printf 'a\\nb'; cat", tty=False)
    assert (job["state"], agent.log("plain")) == ("COMPLETED", b"a\nb")


def test_private_files(agent: Agent) -> None:
    agent.finished("mine", "true")
    for path in [agent.root, agent.home / "logs", *agent.root.glob("jobs/*"), *agent.root.glob("ledger*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_what_a_closed_terminal_leaves(agent: Agent) -> None:
    job = agent.finished("closes", "echo before; exec >/dev/null 2>&1 </dev/null; sleep 0.3; exit 9")
    assert (job["exit_code"], agent.log("closes")) == (9, b"before\r\n")


def test_memory_and_time_are_accounted(agent: Agent) -> None:
    program = "import time; x = bytearray(64 << 20)\nwhile time.process_time() < .5: pass"
    job = agent.finished("burn", f"exec python3 -c '{program}'")
    assert 64 << 20 < job["mem_peak_bytes"] < 90 << 20
    assert 0.5 <= job["cpu_seconds"] < 2
