"""From a command line to an exit status, in processes of their own: what a person gets when things go wrong."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orch import __version__
from orch.cli import main, report
from orch.errors import ConfigError, OrchError, exit_status, explained, while_waiting

ORCH = [sys.executable, "-c", "from orch.cli.main import orch; orch()"]


def orch(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    more = {"stdin": subprocess.DEVNULL, "capture_output": True, **more}
    return subprocess.run([*ORCH, *words], text=True, timeout=60, check=False, **more)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_names_every_command(home: Path, words: list[str]) -> None:
    done = orch(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"  {name} " in done.stdout for name in main.TABLE)
    assert "__complete" not in done.stdout


def test_versions(home: Path) -> None:
    assert orch("--version").stdout == f"orch {__version__}\n"


def test_cs_is_a_face_of_its_own(home: Path) -> None:
    program = [sys.executable, "-c", "from orch.cli.main import cs; cs()"]

    def cs(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *words], capture_output=True, text=True, check=False)

    assert cs("--version").stdout == f"cs (orch {__version__})\n"
    assert "Usage: cs COMMAND" in cs().stdout
    assert "orch" not in cs("help", "run").stdout
    assert "-c, --codespace CODESPACE" in cs("logs", "--help").stdout
    wrong = cs("statsu")
    assert (wrong.returncode, wrong.stderr) == (2, "cs: there is no command 'statsu'\n  did you mean cs status?\n")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["statsu"], "there is no command 'statsu'", "did you mean orch status?"),
        (["\x1b[2J"], r"there is no command '\x1b[2J'", "orch help"),
        (["run"], "something is missing", "orch help run"),
        (["run", "my job", "x"], "'my job' is not allowed: it takes a letter or digit", ""),
        (["run", "-x", "y"], "at most 63 letters", ""),
        (["run", "a" * 65, "y"], "at most 63 letters", ""),
        (["run", "caf\u00e9", "y"], "at most 63 letters", ""),
        (["run", "\U0001f600", "y"], "at most 63 letters", ""),
        (["run", "a.b", "y"], "at most 63 letters", ""),
        (["run", "../x", "y"], "at most 63 letters", ""),
        (["run", "x"], "no orch.toml here or above says what x runs", 'orch run x "COMMAND"'),
        (["run", "x", " "], "the command is empty", ""),
        (["run", "x", "y", "--", "z"], "which one?", ""),
        (["run", "x", "--"], "nothing behind --", ""),
        (["run", "x", "y", "--mem", "6 apples"], "'6 apples' is no size", "6G"),
        (["run", "x", "y", "--timeout", "soon"], "'soon' is no duration", "3h"),
        (["run", "x", "y", "--cpus", "half"], "'half' is no number of processors", "0.5"),
        (["run", "x", "y", "--retries", "1.5"], "'1.5' is no whole number", ""),
        (["run", "x", "y", "--mem", "6"], "--mem 6 is too small: at least 1M", ""),
        (["run", "x", "y", "--mem", "2G", "--mem-max", "1.5G"], "--mem 2G would reserve more than --mem-max 1.5G", ""),
        (["run", "x", "y", "--timeout", "99999999d"], "--timeout 1e+08d is too large: at most 3650d", ""),
        (["run", "x", "y", "--retries", "1001"], "--retries 1001 is too large: at most 1000", ""),
        (["run", "x", "y", "--after", "a b"], "job name 'a b' is not allowed", ""),
        (["run", "x", "y", "--array", "0-9", "--follow"], "each task of an array has its own", "--wait"),
        (["rerun", "x", "--mem", "much"], "'much' is no size", "6G"),
        (["run", "x", "y", "--env", "A"], "NAME=VALUE", ""),
        (["run", "x", "y", "--id", "a b"], "submission id 'a b' is not allowed", ""),
        (["run", "x", "y", "--host", "nowhere"], "there is no host 'nowhere'", "local"),
        (["wait", "a.0"], "'a.0' is not a job", ""),
        (["wait", "a", "--timeout", "soon"], "'soon' is no duration", "10s"),
        (["logs", "a", "--tail", "-1"], "'-1' is no number", ""),
        (["logs", "a", "--new", "my reader"], "reader 'my reader' is not allowed", ""),
        (["logs", "a", "--new", "r", "--tail", "1"], "--tail and --since do not go with it", ""),
        (["run", "x", "y", "--max-usd", "3"], "'--max-usd' is no option", "--max-usd comes with a later version (0.7)"),
        (["run", "my job", "x"], "'my job' is not allowed", "orch help run"),
        (["logs", "a", "--new", "my reader"], "'my reader' is not allowed", "orch help logs"),
        (["ls"], "there is no command 'ls'", "did you mean orch status?"),
        (["stop", "x"], "there is no host 'x'", "to end a job: orch cancel x"),
        (["tail", "x"], "there is no command 'tail'", "did you mean orch logs?"),
        (["-V"], "there is no command '-V'", "did you mean orch --version?"),
        (["caf\u00e9"], "there is no command 'caf\u00e9'", "orch help"),
        (["help", "statsu"], "there is no help on 'statsu'", "orch help status"),
        (["completion", "tcsh"], "no completion for 'tcsh'", ""),
    ],
)
def test_wrong_usage_is_status_2_and_costs_nothing(home: Path, words: list[str], message: str, hint: str) -> None:
    done = orch(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and hint in done.stderr
    assert os.listdir(home) == []


def test_with_json_an_error_is_a_document(home: Path) -> None:
    done = orch("status", "--jsn", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    error = {"kind": "usage", "message": "'--jsn' is no option of orch status", "hint": "did you mean --json?"}
    assert json.loads(done.stderr) == {"error": error}
    assert orch("run", "x", "y", "--", "--json").stderr.startswith("orch: ")


def test_attach_without_a_terminal_is_refused(home: Path) -> None:
    done = orch("attach", "train")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "  orch logs -f train")


def test_a_home_that_cannot_be_written(home: Path) -> None:
    (home / ".orch").write_text("a file where a directory should be")
    done = orch("status")
    assert done.returncode == 1
    assert "cannot put the agent on local" in done.stderr and str(home / ".orch") in done.stderr
    assert "Traceback" not in done.stderr
    assert orch("wait", "x").returncode == 255
    assert orch("run", "x", "y", "--wait").returncode == 1


def test_a_reader_that_has_enough(home: Path) -> None:
    for words in (["help"], ["help", "agents"]):
        with subprocess.Popen([*ORCH, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 141


def test_no_room_behind_standard_output(home: Path) -> None:
    with open(home / "out", "wb") as out:
        argv = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *ORCH, "help"]
        done = subprocess.run(argv, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "orch: File too large: standard output\n  df -h\n"


def test_no_standard_output_at_all(home: Path) -> None:
    assert subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *ORCH, "help"], check=False).returncode == 0


def test_any_text_on_any_terminal(home: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert orch("run", "\u65e5\u672c", "x", env=env).returncode == 2
    (home / "orch.toml").write_text('[jobs.x]\ncommand = "\u65e5"\nzz = 1\n', encoding="utf-8")
    assert orch("run", "x", env=env).returncode == 1


def test_a_bug_is_reported_without_anything_secret(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")

    def broken(argv: object) -> int:
        secret = "hunter2"
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise ValueError(f"cannot read {secret}") from error

    assert main.guarded(broken, ["run", "x", "echo hunter2"]) == 3
    (file,) = (home / ".cache" / "orch" / "reports").iterdir()
    text = file.read_text()
    assert "ValueError" in text and "KeyError" in text and f"orch {__version__}" in text and "in broken" in text
    assert 'hunter2"' in text.replace("'", '"') or "hunter2" not in text  # only as our own source has it
    assert file.stat().st_mode & 0o077 == 0


def test_the_message_of_a_bug_names_the_report(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".cache").write_text("")  # then it goes to the directory for temporary files

    def broken(argv: object) -> int:
        return len(argv) // 0  # type: ignore[arg-type]

    assert main.guarded(broken, ["status", "--json"]) == 3
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["kind"] == "bug" and "ZeroDivisionError" in error["message"]
    path = Path(error["hint"].rpartition(" ")[2])
    assert path.exists()
    path.unlink()


def test_the_words_of_an_error_stay_out_of_the_report() -> None:
    error = explained(ValueError("hunter2"))
    assert "hunter2" not in error.message
    assert "hunter2" not in report.text(error)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("usage", 2), ("refused", 1), ("not_found", 1), ("host", 1), ("conflict", 1), ("not_authorised", 4), ("bug", 3)],
)
def test_each_kind_has_its_status(kind: str, status: int) -> None:
    assert exit_status(OrchError(kind, "x")) == status


def test_while_waiting_no_status_passes_for_the_jobs_own() -> None:
    for failure in (OrchError("host", "gone"), OrchError("not_found", "x"), ConfigError("x"), ValueError("x")):
        with pytest.raises(OrchError) as caught, while_waiting():
            raise failure
        assert exit_status(caught.value) == 255


def test_a_full_disk_is_no_bug_and_no_status_of_a_job() -> None:
    with pytest.raises(OrchError) as caught, while_waiting():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (caught.value.kind, exit_status(caught.value)) == ("refused", 255)


def test_ctrl_c_is_130() -> None:
    def interrupted(argv: object) -> int:
        raise KeyboardInterrupt

    assert main.guarded(interrupted, []) == 130


def imported(*words: str) -> set[str]:
    program = (
        "import sys; sys.argv = ['orch', *sys.argv[1:]]\nfrom orch.cli.main import dispatch\ndispatch(sys.argv[1:])\n"
    )
    program += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-I", "-c", program, *words], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


HEAVY = {
    "argparse",
    "asyncio",
    "dataclasses",
    "inspect",
    "pathlib",
    "tomllib",
    "difflib",
    "logging",
    "tempfile",
    "socket",
}


def test_commands_import_nothing_they_do_not_run(home: Path) -> None:
    commands = {f"orch.cli.{entry.module}" for entry in main.TABLE.values()}
    assert not imported("--help") & (HEAVY | commands | {"subprocess", "json.decoder", "orch.remote"})
    assert imported("help", "agents") & commands == {"orch.cli.help"}
