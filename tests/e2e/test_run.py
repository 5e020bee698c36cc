"""Submitting: what is run, what is said, what is refused."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import pytest

from orch_agent.model import NAME_RULE
from tests.support.agent import Agent
from tests.support.cli import Orch

ODD = [
    *["", " ", "  two  ", "a b", "new\nline", "\ttab", "\r", "\x1b[31m", "\x7f", "\u202e", "a" * 5000],
    *["it's", 'a "b"', "$HOME", "`id`", "$(id)", "\\", "\\n", "*", "?", "[a]", "~", "!", "#", "%s", "="],
    *["a;b", "a&b", "a|b", "a>b", "<a", "(a)", "{a,b}", "--", "-n", "--json", "--help", "é", "日本", "🦉"],
]


def test_one_line_and_at_once(orch: Orch, agent: Agent) -> None:
    begun = time.monotonic()
    done = orch("run", "train", "sleep 300")
    assert time.monotonic() - begun < 30
    assert done == (0, "train.1 submitted to local; follow it: orch logs -f train\n", "")
    assert agent.running("train")["command"] == "sleep 300"


def test_what_is_said_first_is_durable(orch: Orch, agent: Agent) -> None:
    with orch.popen("run", "kept", "sleep 300") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"kept.1 submitted")
        process.kill()
    assert agent.show("kept")["job"]["name"] == "kept"


def test_an_argument_vector_arrives_as_it_is(orch: Orch) -> None:
    done = orch("run", "vector", "--wait", "--no-tty", "--", "printf", "%s\\0", *ODD)
    assert done.status == 0, done.err
    log = orch.home / "logs" / "vector" / "1.log"
    assert log.read_bytes() == b"".join(word.encode() + b"\0" for word in ODD)


def test_bytes_that_are_no_text_arrive_too(orch: Orch) -> None:
    odd = bytes(range(1, 256))
    assert orch("run", "bytes", "--wait", "--no-tty", "--", "printf", "%s", odd).status == 0
    assert (orch.home / "logs" / "bytes" / "1.log").read_bytes() == odd


def test_the_vector_is_shown_as_a_line_one_could_type(orch: Orch) -> None:
    orch("run", "line", "--", "echo", "a b", "$x")
    assert orch("show", "line", "--json").json["job"]["command"] == shlex.join(["echo", "a b", "$x"])


@pytest.mark.parametrize(
    "name", ["my job", "a.b", "a/b", "-x", "-", "🦉", "é", "a" * 65, "", ".", "..", "_a", "a\n", "a!", "\x1b[31m"]
)
@pytest.mark.parametrize("json", [False, True], ids=["text", "json"])
def test_a_name_is_refused_with_the_rule(orch: Orch, name: str, json: bool) -> None:
    done = orch("run", *(["--json"] if json else []), name, "touch ran")
    assert (done.status, done.out) == (2, "")
    if json:
        assert done.error["kind"] == "usage"
        assert NAME_RULE in done.error["message"]
    else:
        assert done.err.startswith("orch: ")
        assert NAME_RULE in done.err
    assert not (orch.home / "ran").exists()


@pytest.mark.parametrize("name", ["a", "9", "A-b_c", "a" * 64])
def test_a_name_within_the_rule(orch: Orch, name: str) -> None:
    assert orch("run", name, "true").status == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["run"], 2, "orch run [options] NAME"),
        (["run", "x"], 2, "no COMMAND"),
        (["run", "x", ""], 2, "the command is empty"),
        (["run", "x", " \n "], 2, "the command is empty"),
        (["run", "x", "--"], 2, "nothing behind --"),
        (["run", "x", "echo", "--", "echo"], 2, "which one?"),
        (["run", "x", "echo", "hi"], 2, "has no use for 'hi'"),
        (["run", "x", "echo", "--wiat"], 2, "did you mean --wait?"),
        (["run", "x", "echo", "--max-usd", "6"], 2, "no option of orch run"),
        (["run", "x", "echo", "--array", "9-0"], 2, "'9-0' is no array of tasks"),
        (["run", "x", "echo", "--mem", "9T"], 1, "it asks for 9216.0GB of memory, and this host has"),
        (["run", "x", "echo", "--after", "nobody"], 1, "there is no job called nobody"),
        (["run", "x", "echo", "--cwd"], 2, "--cwd needs a value"),
        (["run", "x", "echo", "--wait=1"], 2, "--wait takes no value"),
        (["run", "x", "echo", "--env", "K"], 2, "--env takes NAME=VALUE"),
        (["run", "x", "echo", "--env", "ORCH_JOB=1"], 2, "set by orch itself"),
        (["run", "x", "echo", "--id", "a b"], 2, "submission id"),
        (["run", "--x", "echo"], 2, "'--x' is no option of orch run"),
        (["run", "x", "echo", "--host", "moon"], 2, "there is no host 'moon'"),
        (["run", "x", "echo", "--cwd", "/no/such/place"], 1, "there is no directory '/no/such/place'"),
    ],
)
def test_what_is_refused(orch: Orch, words: list[str], status: int, said: str) -> None:
    done = orch(*words)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith("orch: ")
    assert said in done.err
    assert orch("status", "--json").json["jobs"] == []


def test_the_log_and_a_document_are_not_both_printed(orch: Orch) -> None:
    done = orch("run", "x", "echo", "--follow", "--json")
    assert (done.status, done.out, done.error["kind"]) == (2, "", "usage")
    assert "--wait" in done.error["hint"]


def test_a_secret_in_a_mistyped_variable_is_not_repeated(orch: Orch) -> None:
    assert "hunter2" not in orch("run", "x", "true", "--env", "=hunter2").err


def test_a_name_in_use(orch: Orch, agent: Agent) -> None:
    orch("run", "busy", "sleep 300")
    agent.running("busy")
    done = orch("run", "busy", "echo mine")
    assert (done.status, done.out) == (1, "")
    assert "busy.1 is still running" in done.err
    assert "--replace" in done.err
    assert orch("run", "busy", "echo mine", "--json").error["kind"] == "name_in_use"


def test_replace_cancels_waits_and_submits(orch: Orch, agent: Agent) -> None:
    orch("run", "busy", "trap 'sleep 0.3; touch ended; exit' TERM; touch begun; while :; do sleep 0.05; done")
    agent.running("busy")
    done = orch("run", "busy", "--replace", "--wait", "ls")
    assert done.status == 0, done.err
    assert orch("show", "busy.1", "--json").json["job"]["state"] == "CANCELLED"
    assert "ended" in orch("logs", "busy.2").out.split()


def test_replace_without_anything_to_replace(orch: Orch) -> None:
    assert orch("run", "new", "true", "--replace").out.startswith("new.1 submitted")


def test_the_same_id_is_the_same_job(orch: Orch) -> None:
    words = ["run", "once", "--id", "key-1", "echo ran >> count"]
    assert orch(*words).out == "once.1 submitted to local; follow it: orch logs -f once\n"
    assert orch("wait", "once").status == 0
    assert orch(*words).out == "once.1 had been submitted before to local; follow it: orch logs -f once\n"
    again = orch(*words, "--json").json
    assert (again["created"], again["job"]["id"], again["job"]["run"]) == (False, "key-1", 1)
    assert (orch.home / "count").read_text() == "ran\n"


@pytest.mark.parametrize(
    "words",
    [["once", "echo other"], ["twice", "echo one"], ["once", "echo one", "--env", "A=1"], ["once", "--", "echo"]],
)
def test_the_same_id_for_something_else(orch: Orch, words: list[str]) -> None:
    orch("run", "once", "--id", "key-1", "echo one", "--wait")
    done = orch("run", "--id", "key-1", "--json", *words)
    assert (done.status, done.error["kind"]) == (1, "conflict")
    assert "once.1" in done.error["message"]


def test_where_and_with_what_it_runs(orch: Orch) -> None:
    (orch.home / "deep" / "er").mkdir(parents=True)
    orch("run", "here", "pwd", "--wait", cwd=orch.home / "deep")
    assert orch("logs", "here").out == f"{orch.home}/deep\n"
    orch("run", "there", 'echo "$PWD|$A|$B"', "--cwd", "er", "--env", "A=1", "--env=B=x=y z", "--wait", cwd="deep")
    assert orch("logs", "there").out == f"{orch.home}/deep/er|1|x=y z\n"
    orch("run", "tilde", "pwd", "--cwd", "~/deep", "--wait")
    assert orch("logs", "tilde").out == f"{orch.home}/deep\n"


def test_options_behind_the_command(orch: Orch) -> None:
    assert orch("run", "late", "exit 3", "--wait", "--no-tty").status == 3


def test_a_directory_that_is_gone(orch: Orch) -> None:
    gone = orch.home / "gone"
    gone.mkdir()
    script = ["sh", "-c", 'cd "$1" && rmdir "$1" && shift && exec "$@"', "sh", str(gone)]
    done = orch("run", "x", "true", before=script)
    assert done.status == 2
    assert "does not exist any more" in done.err


def test_children_are_kept_if_asked(orch: Orch) -> None:
    command = "sleep 300 & echo $!"
    for name, words, lives in (("ends", [], False), ("keeps", ["--keep-children"], True)):
        assert orch("run", name, command, "--no-tty", "--wait", *words).status == 0
        pid = int(orch("logs", name).out)
        assert Path(f"/proc/{pid}").exists() == lives
    os.kill(pid, 9)


def test_a_repository_says_what_its_jobs_run(orch: Orch) -> None:
    deep = orch.home / "repo" / "src"
    deep.mkdir(parents=True)
    (orch.home / "repo" / "orch.toml").write_text(
        '[jobs.train]\ncommand = "echo $PWD $A $B; tty"\ncwd = "src"\ntty = false\nenv = { A = "1", B = "2" }\n'
    )
    assert orch("run", "train", "--wait", "--env", "B=3", cwd=deep).status == 1
    assert orch("logs", "train").out == f"{deep} 1 3\nnot a tty\n"
    orch("run", "train", "echo other; pwd", "--wait", cwd=orch.home / "repo")
    assert orch("logs", "train").out == f"other\n{deep}\n"
    done = orch("run", "other", cwd=deep)
    assert (done.status, "orch.toml" in done.err) == (2, True)


def test_rerun_is_the_same_again(orch: Orch) -> None:
    command = 'echo "$A|$B|$PWD"; test -t 1 && echo terminal'
    orch("run", "job", command, "--env", "A=1", "--env", "B=2", "--cwd", "/tmp", "--no-tty", "--wait")
    first = orch("show", "job.1", "--json").json
    assert orch("rerun", "job", "--wait", "--env", "B=3").status == 1
    second = orch("show", "job", "--json").json
    assert (second["job"]["run"], second["job"]["command"]) == (2, command)
    assert [second[key] for key in ("tty", "env")] == [first[key] for key in ("tty", "env")] == [False, ["A", "B"]]
    assert orch("logs", "job").out == "1|3|/tmp\n"
    assert orch("rerun", "job.1", "--cwd", "/", "--wait").status == 1
    assert orch("logs", "job.3").out == "1|2|/\n"
    assert orch("rerun", "nobody").status == 1


def test_a_command_longer_than_any_argument(orch: Orch) -> None:
    command = "echo begun\n: " + "x" * 200_000 + "\necho ended\nexit 3\n"
    done = orch("run", "long", "-", "-f", input=command.encode())
    assert (done.status, done.out) == (3, "begun\nended\n")
