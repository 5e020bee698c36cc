"""The command itself: help, versions, failures of its own, and whatever else may be typed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orch import __version__
from orch.cli.main import TABLE
from tests.support.cli import Orch
from tests.support.documents import HOST, JOB

SECRET = "hunter2-in-the-command"


def test_help(orch: Orch) -> None:
    for words in ([], ["--help"], ["-h"], ["help"]):
        done = orch(*words)
        assert (done.status, done.err) == (0, "")
        assert all(name in done.out for name in TABLE)
    for name in TABLE:
        for words in (["help", name], [name, "--help"], [name, "-h", "--json"]):
            done = orch(*words)
            assert (done.status, done.err) == (0, "")
            assert f"Usage: orch {name}" in done.out
    assert orch("--version") == (0, f"orch {__version__}\n", "")


def test_the_contract_for_programs_is_complete(orch: Orch) -> None:
    text = orch("help", "agents").out
    assert all(key in text for key in [*JOB, *HOST])
    assert all(
        f"orch {name}" in text for name in ("run", "status", "show", "logs", "wait", "cancel", "send", "rerun", "pull")
    )
    assert all(
        f"orch {name}" in text for name in ("pull", "hosts", "ssh", "doctor", "up", "start", "stop", "down", "sweep")
    )
    assert all(f"orch {name}" in text for name in ("sync", "diff", "jobs", "push", "ports", "secret", "repo"))
    assert len(text) < 7000


def test_a_command_that_is_not(orch: Orch) -> None:
    done = orch("statsu")
    assert (done.status, done.out) == (2, "")
    assert done.err == "orch: there is no command 'statsu'\n  did you mean orch status?\n"


class Broken(Orch):
    """A command with a mistake of ours in it."""

    def argv(self, *words: str | bytes) -> list[str | bytes]:
        program = "import sys, orch.remote; orch.remote.bundle = None; from orch.cli.main import orch; sys.exit(orch())"
        return [sys.executable, "-c", program, *words]


@pytest.mark.parametrize("json_words", [[], ["--json"]], ids=["text", "json"])
def test_a_failure_of_orch_itself(orch: Orch, json_words: list[str]) -> None:
    done = Broken(orch.home)("run", "job", f"echo {SECRET}", "--env", f"KEY={SECRET}", *json_words)
    assert (done.status, done.out) == (3, "")
    assert "Traceback" not in done.err
    text = done.error["hint"] if json_words else done.err
    report = Path(next(word for word in text.split() if "/reports/" in word))
    assert report.parent == orch.home / ".cache" / "orch" / "reports"
    assert report.stat().st_mode & 0o077 == 0
    told = report.read_text()
    assert __version__ in told
    assert "submit" in told, "it says where"
    assert SECRET not in told + done.err
    assert "KEY" not in told


def test_a_failure_while_waiting_is_not_the_jobs_status(orch: Orch) -> None:
    orch("run", "job", "true", "--wait")
    done = Broken(orch.home)("wait", "job")
    assert (done.status, "report" in done.err) == (255, True)


@pytest.mark.parametrize(
    "answer",
    [
        *("", "junk", "[]", "3", '{"error":3}', '{"error":{}}', '{"v":1', "[" * 20000, "\x00"),
        *('{"v":1}', '{"v":1,"job":3,"jobs":3}', '{"v":1,"job":{},"jobs":[{}],"host":{}}'),
    ],
)
def test_an_agent_that_talks_nonsense(orch: Orch, answer: str) -> None:
    _answer_always(orch, answer)
    for words in (["run", "job", "true"], ["status"], ["logs", "job"], ["show", "job"], ["cancel", "job"]):
        done = orch(*words, "--json") if words[0] != "logs" else orch(*words)
        assert done.status == 1, (words, done)
        assert "local" in done.err
        assert "Traceback" not in done.err


def _answer_always(orch: Orch, answer: str) -> None:
    assert orch("status").status == 0
    for agent in (orch.home / ".orch").glob("agent-*"):
        if agent.name != "agent-test":
            shutil.rmtree(agent / "__pycache__")  # or Python takes what has the same size and second for the same
            (agent / "__main__.py").write_text(f"print({answer!r})\n")


def test_closed_outputs(orch: Orch) -> None:
    for closing in (">&-", "2>&-", ">&- 2>&-", "<&-", ">/dev/full"):
        done = orch("status", before=["sh", "-c", f'exec "$@" {closing}', "sh"])
        assert done.status in (0, 1)
        assert "Traceback" not in done.err
        assert "Exception" not in done.err


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "nonsense"])
def test_any_text_in_any_locale(orch: Orch, locale: str) -> None:
    env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert orch("run", "job", "echo '日本 é' \udcff".encode(errors="surrogateescape"), "--wait", env=env).status == 0
    assert orch("show", "job", env=env).status == 0
    assert orch("status", "--json", env=env).status == 0
    with orch.popen("logs", "job") as process:
        out, _ = process.communicate(timeout=30)
    assert out.endswith("日本 é \udcff\n".encode(errors="surrogateescape")), "bash may warn of the locale before"


_OPTIONS = ["--json", "--all", "--wait", "--replace", "--no-tty", "--keep-children", "--any", "--raw", "--help", "--"]
_VALUED = ["--host", "-H", "--cwd", "--env", "--id", "--tail", "--since", "--grep", "--new", "--timeout", "--grace"]
_VALUES = [
    "local",
    "/tmp",
    "A=1",
    "key",
    "3",
    "1s",
    "5m",
    "0",
    ".",
    "^a",
    "me",
    "-1",
    "",
    "é",
    "\udcff",
    "9" * 30,
    "1e9",
]
_NAMES = ["job", "job.1", "job.9", "x", "a b", "job.", ".", "job.0", "é", ""]
_COMMANDS = ["true", "exit 7", "echo hi", "kill -TERM $$", "", "printf 'a\\rb'"]
_odd = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6).map(lambda text: f"#{text}")
_word = st.sampled_from([*_OPTIONS, *_NAMES, *_COMMANDS]) | _odd
_pair = st.tuples(st.sampled_from(_VALUED), st.sampled_from(_VALUES) | _odd).map(list)
_line = st.builds(
    lambda command, words: [command, *(w for part in words for w in (part if isinstance(part, list) else [part]))],
    st.sampled_from([name for name in TABLE if name != "init"]) | st.sampled_from(_OPTIONS) | _odd,
    st.lists(_word | _pair, max_size=5),
)
# 0 done, 1 refused, 2 usage, 4 no credentials (sweep), 7 and 143 a job's own, 130 cannot happen here, 255 not waited
# for; never 3.
_ALLOWED = {0, 1, 2, 4, 7, 143, 255}


def test_whatever_is_typed(orch: Orch) -> None:
    """200 command lines, four at a time: no stack trace, no bug, a status of the contract, errors as promised."""
    orch("run", "job", "seq 9", "--wait")

    @settings(max_examples=50, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(_line, min_size=4, max_size=4))
    def check(lines: list[list[str]]) -> None:
        running = [orch.popen(*line, stdin=subprocess.DEVNULL) for line in lines]
        for line, process in zip(lines, running, strict=True):
            with process:
                out, err = process.communicate(timeout=60)
            _judge(line, process.returncode, out, err.decode())

    check()
    assert not (orch.home / ".cache" / "orch" / "reports").exists()


def _judge(line: list[str], status: int, out: bytes, err: str) -> None:
    assert status in _ALLOWED, (line, status, err)
    assert "Traceback" not in err, line
    before = line[: line.index("--")] if "--" in line else line
    if status in (1, 2) and "--json" in before and err.startswith("{"):
        assert list(json.loads(err)) == ["error"], line
    elif status in (1, 2) and "--wait" not in line and line[0] != "wait":
        assert err.startswith("orch: "), (line, status, err)
        assert out == b"" or line[0] in ("logs", "status"), (line, out)
