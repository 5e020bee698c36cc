"""Whatever is submitted runs as it was written, or is refused in words; nothing in between."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orch_agent.ledger import Ledger
from orch_agent.model import NAME_RULE, JobSpec
from tests.support.agent import Agent, Refused

LINES = {
    "quotes": ("echo \"it's\" 'a \"b\"' \\\"c\\\" $'d\\'e'", b'it\'s a "b" "c" d\'e\n'),
    "newlines": ("echo one\necho two\n\n\necho three", b"one\ntwo\nthree\n"),
    "carriage return": ("printf '%s' 'a\rb'", b"a\rb"),
    "dollar": ('A=x; echo "$A" $((1+1)) \'$A\' "${A}y" $$ | sed "s/[0-9]*$//"', b"x 2 $A xy \n"),
    "backticks": ("echo `echo inner` '`not`' $(echo deep `echo er`)", b"inner `not` deep er\n"),
    "heredoc": ("cat <<'END'\n$x `y` \"z\"\nEND\n", b'$x `y` "z"\n'),
    "comment at the end": ("echo said # and no more", b"said\n"),
    "operators": ("false || echo a && echo b; (echo c); { echo d; } | cat >&2 2>&1", b"a\nb\nc\nd\n"),
    "background": ("sleep 0.1 & wait; echo waited", b"waited\n"),
    "glob and tilde": ("cd /; echo /et[c] ~nobody-at-all", b"/etc ~nobody-at-all\n"),
    "history": ("echo '!!' wow!", b"!! wow!\n"),
    "percent and backslash": (r"printf '%s' '%d \n %%'", rb"%d \n %%"),
    "emoji": ("echo '🦉 日本語 é'", "🦉 日本語 é\n".encode()),
    "no text at all": ("printf '%s' '\udcff\udc80 \udcfe'", b"\xff\x80 \xfe"),
    "leading dash": ("-x 2>/dev/null; echo went on", b"went on\n"),
    "leading blanks": ("\n\t  echo blank", b"blank\n"),
    "exec": ("exec echo replaced", b"replaced\n"),
    "empty arguments": ("printf '[%s]' '' \"\" x", b"[][][x]"),
}


@pytest.mark.parametrize("tty", [True, False], ids=["tty", "no-tty"])
@pytest.mark.parametrize("what", LINES)
def test_a_command_runs_as_it_was_written(agent: Agent, what: str, tty: bool) -> None:
    command, output = LINES[what]
    job = agent.finished("line", command, tty=tty)
    assert (job["state"], job["command"]) == ("COMPLETED", command)
    assert agent.log("line") == (output.replace(b"\n", b"\r\n") if tty else output)


@pytest.mark.parametrize("size", [99_900, 100_000, 131_072, 200_000, 3_000_000])
def test_a_very_long_command(agent: Agent, size: int) -> None:
    tail = '\'; echo "$#,$x"'
    command = "x=1; set -- '" + "é" * ((size - len(tail) - 14) // 2) + tail
    job = agent.finished("long", command)
    assert (job["state"], agent.log("long")) == ("COMPLETED", b"1,1\r\n")
    assert agent.show("long")["spec"]["command"] == command


def test_what_a_long_command_sees_of_itself(agent: Agent) -> None:
    """Its length is no business of the command: $0, its arguments and `return` are as in a short one."""
    probe = '\necho "$0|$#|${BASH_SOURCE[0]-}"; return 3 2>/dev/null; exit 4'
    short, long = agent.finished("short", ":" + probe), agent.finished("long", ": " + "x" * 150_000 + probe)
    assert agent.log("long") == agent.log("short")
    assert long["exit_code"] == short["exit_code"]


@pytest.mark.parametrize(
    "spec",
    [
        {"command": "echo a\0b"},
        {"command": "true", "cwd": "/tmp\0"},
        {"command": "true", "env": {"A": "x\0y"}},
        {"command": "true", "env": {"A\0": "x"}},
    ],
)
def test_a_nul_is_refused(agent: Agent, spec: dict[str, Any]) -> None:
    refuses(agent, "NUL|environment variable", {"name": "nul", **spec})


@pytest.mark.parametrize("command", ["", " ", "\n\t \n"])
def test_an_empty_command_is_refused(agent: Agent, command: str) -> None:
    refuses(agent, "empty", {"name": "empty", "command": command})


BAD_NAMES = [
    "",
    " ",
    "two words",
    "a.b",
    "a.1",
    ".hidden",
    "a/b",
    "/etc",
    "..",
    "-rf",
    "--help",
    "_x",
    "🦉",
    "naïve",
    "٣",
    "a\n",
    "a\0b",
    "a:b",
    "a$b",
    "x" * 65,
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_with_the_rule(agent: Agent, name: str) -> None:
    refuses(agent, NAME_RULE.replace("'", "."), {"name": name, "command": "true"})
    assert not (agent.home / "logs").exists()


@pytest.mark.parametrize("name", ["a", "7", "x" * 64, "A-_-9"])
def test_a_good_name_is_taken(agent: Agent, name: str) -> None:
    assert agent.finished(name, "true")["name"] == name


@pytest.mark.parametrize("key", ["", "../../etc/x", "a b", "x" * 65, "é"])
def test_a_bad_submission_key_is_refused(agent: Agent, key: str) -> None:
    with pytest.raises(Refused, match="submission key"):
        agent.call("submit", id=key, spec={"name": "x", "command": "true"})


@pytest.mark.parametrize("ref", ["x.0", "x.-1", "x.1.2", "x.", "x.٣", "x.1e3", "x.9999999999", ".1", "-x"])
@pytest.mark.parametrize("verb", ["show", "attach"])
def test_a_bad_reference_is_refused(agent: Agent, verb: str, ref: str) -> None:
    with pytest.raises(Refused) as refused:
        agent.call(verb, job=ref)
    assert refused.value.kind == "usage"


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"name": "x"},
        {"command": "true"},
        {"name": 5, "command": "true"},
        {"name": "x", "command": ["true"]},
        {"name": "x", "command": "true", "cwd": 7},
        {"name": "x", "command": "true", "env": ["A=b"]},
        {"name": "x", "command": "true", "env": {"A": 1}},
        {"name": "x", "command": "true", "tty": "yes"},
    ],
)
def test_a_malformed_specification_is_refused(agent: Agent, spec: dict[str, Any]) -> None:
    refuses(agent, ".", spec)


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        ("cancel", {"jobs": ["x"], "grace": "soon"}),
        ("cancel", {"jobs": "x"}),
        ("cancel", {"jobs": [1]}),
        ("wait", {"jobs": ["x"], "timeout": "soon"}),
        ("logs", {"job": "x", "offset": "far"}),
        ("logs", {"job": "x", "tail": [1]}),
        ("logs", {"job": "x", "since": "then"}),
        ("logs", {"job": "x", "since": {"ago": "then"}}),
        ("logs", {"job": "x", "grep": "("}),
        ("logs", {"job": "x", "grep": 7}),
        ("logs", {"job": "x", "reader": "../../x"}),
        ("logs", {"job": None}),
        ("status", {"names": "x"}),
        ("status", {"names": ["x y"]}),
        ("send", {"job": "x"}),
        ("submit", {"id": "x", "spec": "true"}),
        ("submit", {"id": 7, "spec": {"name": "x", "command": "true"}}),
    ],
)
def test_a_malformed_request_is_refused(agent: Agent, verb: str, request_: dict[str, Any]) -> None:
    agent.finished("x", "true")
    with pytest.raises(Refused) as refused:
        if verb == "logs":
            status, out, err = agent.raw(verb, request_)
            assert err == b"", err.decode()
            raise Refused(json.loads(out)["error"]) if status else AssertionError(out)
        agent.call(verb, **request_)
    assert refused.value.kind in ("usage", "refused")


@pytest.mark.parametrize("since", [-1e30, 1e30, {"ago": 1e30}, {"ago": -1e30}, {}])
def test_times_beyond_the_log_are_its_ends(agent: Agent, since: Any) -> None:
    agent.finished("x", "echo said", tty=False)
    assert agent.log("x", since=since) in (b"said\n", b"")


@pytest.mark.parametrize("where", [{"offset": -5}, {"offset": 1 << 70}, {"tail": -1}, {"tail": 0}])
def test_places_beyond_the_log_are_its_ends(agent: Agent, where: dict[str, Any]) -> None:
    agent.finished("x", "echo said", tty=False)
    assert agent.log("x", **where) in (b"said\n", b"")


def test_half_a_surrogate_pair_is_refused(agent: Agent) -> None:
    """It is neither text nor a byte, so no program could be given it."""
    refuses(agent, "command", {"name": "half", "command": "echo '\ud83d'"})


@pytest.mark.parametrize("key", ["", "A=B", "ORCH_JOB_ID", "ORCH_JOB"])
def test_a_bad_variable_is_refused(agent: Agent, key: str) -> None:
    refuses(agent, ".", {"name": "var", "command": "true", "env": {key: "x"}})


def test_variables_of_every_kind_arrive(agent: Agent) -> None:
    env = {"Q": "a'b\"c", "NL": "x\ny", "BYTES": "\udcff", "EMPTY": "", "with-dash": "1", "LONG": "z" * 100_000}
    command = 'printf "%s|" "$Q" "$NL" "$BYTES" "${EMPTY-unset}" "${#LONG}"; env | grep -c ^with-dash='
    agent.finished("env", command, env=env, tty=False)
    assert agent.log("env") == b"a'b\"c|x\ny|\xff||100000|1\n"


def test_a_variable_too_large_for_the_system_is_told(agent: Agent) -> None:
    """Linux takes 131,072 bytes in one string: refused, or at least said; never a bare 127."""
    try:
        agent.finished("huge", "echo never", env={"HUGE": "z" * 200_000})
    except Refused as refused:
        assert refused.kind in ("usage", "refused")
    else:
        told = agent.log("huge") + (agent.show("huge")["why"] or "").encode()
        assert b"too long" in told.lower() or b"environment" in told, told


def test_a_missing_directory_is_refused(agent: Agent, tmp_path: Path) -> None:
    refuses(agent, f"no directory '{tmp_path}/gone'", {"name": "d", "command": "true", "cwd": f"{tmp_path}/gone"})
    (tmp_path / "file").write_text("")
    refuses(agent, "is not a directory", {"name": "d", "command": "true", "cwd": f"{tmp_path}/file"})
    refuses(agent, f"no directory '{agent.home}/relative'", {"name": "d", "command": "true", "cwd": "relative"})
    refuses(agent, "~root/x", {"name": "d", "command": "true", "cwd": "~root/x"})


def test_a_directory_that_went_before_the_start(agent: Agent, tmp_path: Path) -> None:
    """Accepted, its starter killed, its directory deleted: the job fails and says what was missing."""
    where = tmp_path / "soon gone"
    where.mkdir()
    agent.finished("first", "true")
    with Ledger(str(agent.root / "ledger.db")) as ledger, ledger.transaction():
        ledger.insert("lostdir", 1, JobSpec("lost", "echo never", cwd=str(where)), 0.0)
    for place in (agent.root / "jobs" / "lostdir", agent.home / "logs" / "lost"):
        place.mkdir()
    shutil.rmtree(where)
    job = agent.wait("lost")
    assert job["state"] == "FAILED"
    told = agent.log("lost") + (agent.show("lost")["why"] or "").encode()
    assert b"soon gone" in told, f"exit {job['exit_code']}, and nobody says why: {told!r}"
    assert b"never" not in agent.log("lost")


@pytest.mark.parametrize("tty", [True, False], ids=["tty", "no-tty"])
def test_a_command_not_found(agent: Agent, tty: bool) -> None:
    job = agent.finished("nope", "no-such-program --really", tty=tty)
    assert (job["state"], job["exit_code"]) == ("FAILED", 127)
    assert b"no-such-program: command not found" in agent.log("nope")
    assert "exit status 127: a command was not found" in agent.show("nope")["why"]


def test_not_executable_and_bad_syntax(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("data")
    assert agent.finished("noexec", str(tmp_path / "plain"))["exit_code"] == 126
    assert agent.finished("syntax", "echo 'open")["exit_code"] in (1, 2)
    assert b"unexpected EOF" in agent.log("syntax")


def test_the_message_itself_is_malformed(agent: Agent) -> None:
    import subprocess

    for line in (b"", b"\n", b"[]\n", b"nonsense\n", b"\xff\xfe\n", b'{"id": \n', b"9" * 100_000 + b"\n"):
        done = subprocess.run(agent.argv("submit"), input=line, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (1, b""), line[:20]
        assert b'"kind":"usage"' in done.stdout
    done = subprocess.run(agent.argv("no-such-verb"), input=b"{}\n", capture_output=True, check=False)
    assert b'"kind":"usage"' in done.stdout


anything = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    max_size=60,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(anything, min_size=1, max_size=4), tty=st.booleans())
def test_any_argument_comes_back_through_the_log(agent: Agent, texts: list[str], tty: bool) -> None:
    job = agent.finished("echo", "printf '%s\\n' " + " ".join(map(shlex.quote, texts)), tty=tty)
    assert job["state"] == "COMPLETED"
    said = agent.log(f"echo.{job['run']}")
    # A lone surrogate is a byte; bytes that spell a character together are that character.
    wanted = b"".join(text.encode("utf-8", "surrogateescape") + b"\n" for text in texts)
    assert said == (wanted.replace(b"\n", b"\r\n") if tty else wanted)


def refuses(agent: Agent, words: str, spec: dict[str, Any]) -> None:
    """The submission is refused in these words, and leaves nothing behind."""
    with pytest.raises(Refused, match=words) as refused:
        agent.call("submit", id="refused", spec=spec)
    assert refused.value.kind in ("usage", "refused")
    assert agent.call("status", all=True)["jobs"] == []
