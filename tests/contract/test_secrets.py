"""A codespace's secrets: jobs have them, their logs do not."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agent import Refused, eventually
from tests.support.inside import Codespace
from tests.support.machine import Machine

TOKEN, KEY = "ghs_0123456789abcdef", "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"


@pytest.fixture
def codespace(machine: Machine) -> Codespace:
    """One that has secrets, and is never stopped by itself."""
    one = Codespace(machine)
    one.give(GITHUB_TOKEN=TOKEN, KEY=KEY, SHORT="abc", GITHUB_REPOSITORY="mona/box")
    return one


@pytest.mark.parametrize("tty", [True, False])
def test_a_job_has_them_and_its_log_has_stars(codespace: Codespace, tty: bool) -> None:
    show = (
        'echo "t=$GITHUB_TOKEN s=$SHORT r=$GITHUB_REPOSITORY"; echo "$KEY"; printf "%s\\n" "${#GITHUB_TOKEN} ${#KEY}"'
    )
    codespace.finished("job", show, tty=tty)
    lines = codespace.log("job").replace(b"\r", b"").splitlines()
    assert lines[0] == b"t=*** s=abc r=mona/box" and lines[-1] == b"%d %d" % (len(TOKEN), len(KEY))
    assert set(lines[1:-1]) <= {b"***", b""}
    assert codespace.show("job")["log_tail"].encode() == codespace.log("job")
    assert codespace.log("job", grep="ghs_") == b""


def test_they_are_read_when_a_job_starts_and_its_own_environment_wins(codespace: Codespace) -> None:
    codespace.finished("first", 'printf %s "$GITHUB_TOKEN" > one', env={"KEY": "mine"})
    assert (codespace.home / "one").read_text() == TOKEN
    codespace.give(GITHUB_TOKEN="ghs_rotated_since", KEY=KEY)
    codespace.finished("second", 'printf %s "$GITHUB_TOKEN $KEY" > two; echo "$GITHUB_TOKEN"', env={"KEY": "mine"})
    assert (codespace.home / "two").read_text() == "ghs_rotated_since mine"
    assert codespace.log("second").strip() == b"***"


def test_more_than_a_program_can_be_given_is_refused(codespace: Codespace) -> None:
    """GitHub takes a hundred of 48 KB; the kernel gives no program as much."""
    codespace.give(**{f"KEY{number}": "x" * 48_000 for number in range(100)})
    with pytest.raises(Refused, match="100 secrets of 5M in all, and a program can be given 2M") as refused:
        codespace.submit("job", "true")
    assert refused.value.kind == "refused" and "cs secret rm" in refused.value.hint
    codespace.give(**{f"KEY{number}": "x" * 48_000 for number in range(38)})
    assert codespace.finished("job", "echo $KEY37 is kept")["state"] == "COMPLETED"


def test_the_next_attempt_reads_them_again(codespace: Codespace) -> None:
    command = (
        'echo "$GITHUB_TOKEN" >> seen; touch tried; until [ -e go ]; do sleep 0.05; done; [ $ORCH_JOB_ATTEMPT = 2 ]'
    )
    codespace.submit("job", command, retries=1, retry_delay=0)
    eventually((codespace.home / "tried").exists, "it has begun")
    codespace.give(GITHUB_TOKEN="ghs_rotated_since")
    (codespace.home / "go").touch()
    assert codespace.wait("job")["attempt"] == 2
    assert (codespace.home / "seen").read_text().split() == [TOKEN, "ghs_rotated_since"]


def test_a_prompt_is_shown_at_once_and_its_answer_is_not(codespace: Codespace) -> None:
    """It ends as a secret begins: that is held back for a moment only."""
    codespace.submit("job", 'printf "say g"; read answer; printf "%s" "$answer" > answer')
    eventually(lambda: codespace.log("job") == b"say g", "the prompt is there", 5)
    codespace.call("send", job="job", text=TOKEN + "\n", id="1")
    codespace.wait("job")
    assert (codespace.home / "answer").read_text() == TOKEN
    assert codespace.log("job").strip() == b"say g***"


def test_pieces_of_one_are_put_together(codespace: Codespace) -> None:
    codespace.finished(
        "job", 'printf "%s" "${GITHUB_TOKEN:0:9}"; sleep 0.3; printf "%s|" "${GITHUB_TOKEN:9}"; echo end'
    )
    assert codespace.log("job").strip() == b"***|end"


def test_half_a_secret_is_written_out_when_the_job_ends(codespace: Codespace) -> None:
    codespace.finished("job", 'printf "%s" "${GITHUB_TOKEN:0:9}"')
    assert codespace.log("job") == TOKEN[:9].encode()


@pytest.mark.parametrize("tty", [True, False])
def test_of_a_flood_not_a_byte_is_missing(codespace: Codespace, tty: bool) -> None:
    codespace.finished("job", 'stty -onlcr 2>/dev/null; seq 200000 | sed "s/5000$/$GITHUB_TOKEN/"; exit 3', tty=tty)
    want = b"".join(b"%d\n" % one for one in range(1, 200001)).splitlines()
    want = [one[:-4] + b"***" if one.endswith(b"5000") else one for one in want]
    assert codespace.log("job").splitlines() == want
    assert codespace.show("job")["job"]["exit_code"] == 3


def test_without_a_terminal_it_can_be_cancelled_and_followed(codespace: Codespace) -> None:
    codespace.submit("job", 'echo "a $GITHUB_TOKEN"; sleep 300', tty=False)
    eventually(lambda: codespace.log("job") == b"a ***\n", "it is in the log while it runs")
    codespace.call("cancel", jobs=["job"], grace=1)
    assert codespace.wait("job")["state"] == "CANCELLED"


def test_a_log_has_its_limit(codespace: Codespace) -> None:
    codespace.finished("job", 'while :; do echo "$GITHUB_TOKEN"; done | head -n 400000', tty=False, log_max=1 << 16)
    path = Path(codespace.home / ".orch/logs/job/1.log")
    assert path.stat().st_blocks * 512 < 1 << 19
    assert codespace.log("job", tail=2) == b"***\n***\n"


@pytest.mark.parametrize("tty", [True, False])
def test_with_its_runner_its_output_ends_and_the_job_is_seen_to(codespace: Codespace, tty: bool) -> None:
    """Nobody is left who could mask: what it goes on to write reaches no log."""
    command = (
        'trap "" HUP PIPE; echo began; until [ -e go ]; do sleep 0.1; done; echo "$GITHUB_TOKEN"; touch wrote; sleep 1'
    )
    codespace.submit("job", command, tty=tty)
    eventually(lambda: b"began" in codespace.log("job"), "it writes")
    runner = next(pid for pid, _ in codespace.machine.processes() if called(codespace, pid) == "orch job.1")
    codespace.machine.kill(runner, signal.SIGKILL)
    (codespace.home / "go").touch()
    ended = codespace.wait("job")
    assert ended["state"] == "NODE_FAIL" and "its runner was killed" in ended["reason"]
    assert codespace.log("job").strip() == b"began"


def called(codespace: Codespace, pid: int) -> str:
    return codespace.machine.run(f"cat /proc/{pid}/comm", check=False).stdout.strip()


@pytest.mark.parametrize("text", ["", "GITHUB_TOKEN", "A=%%%\n=eA==\nB=eA\n", "\xff\n"])
def test_a_file_that_makes_no_sense_is_none(codespace: Codespace, text: str) -> None:
    (codespace.home / ".env-secrets").write_text(text, encoding="latin-1")
    assert codespace.finished("job", "echo fine")["state"] == "COMPLETED"
    assert codespace.log("job").strip() == b"fine"


# tmux

APT = """\
#!/bin/sh
echo "$3" >>~/apt
[ "$3" = update ] && exit 0
[ -e ~/archive/tmux ] || { echo "E: Unable to locate package tmux" >&2; exit 100; }
cp ~/archive/tmux ~/bin/tmux
"""


@pytest.fixture
def bare(machines: Callable[..., Machine]) -> Codespace:
    """A codespace without tmux, in which sudo asks for no password."""
    machine = machines(without=["tmux"])
    (machine.home / "archive").mkdir()
    one = Codespace(machine)
    for name, text in {"apt-get": APT, "sudo": '#!/bin/sh\n[ "$1" = -n ] && shift && exec "$@"\n'}.items():
        (one.home / "bin" / name).write_text(text)
        (one.home / "bin" / name).chmod(0o755)
    return one


def test_tmux_is_installed_once_for_whoever_attaches(bare: Codespace) -> None:
    shutil.copy(str(shutil.which("tmux")), bare.home / "archive/tmux")
    bare.submit("job", "sleep 300")
    bare.running("job")
    assert bare.call("attach", job="job")["argv"][-1] == "=job"
    assert (bare.home / "apt").read_text() == "install\n"


def test_where_tmux_cannot_be_installed_it_is_said_and_not_tried_again(bare: Codespace) -> None:
    bare.submit("job", "sleep 300")
    bare.running("job")
    for _ in range(2):
        with pytest.raises(Refused, match="Unable to locate package tmux") as refused:
            bare.call("attach", job="job")
        assert refused.value.hint == "sudo apt-get install -y tmux"
    assert (bare.home / "apt").read_text() == "install\nupdate\ninstall\n"


# Secrets that a submission names: those that the codespace has


def test_a_secret_that_is_named_is_one_of_the_codespaces(codespace: Codespace) -> None:
    codespace.finished("job", 'printf %s "$MINE" > one; echo "$MINE"', secrets={"MINE": "GITHUB_TOKEN"})
    assert (codespace.home / "one").read_text() == TOKEN and codespace.log("job").strip() == b"***"
    with pytest.raises(Refused, match="this codespace does not have the secret NONE") as refused:
        codespace.submit("other", "true", secrets={"NONE": "NONE"})
    assert refused.value.hint.startswith("cs secret set NONE")
    with pytest.raises(Refused, match="the command holds the value of the secret MINE") as refused:
        codespace.submit("other", f"echo {TOKEN}", secrets={"MINE": "GITHUB_TOKEN"})
    assert TOKEN not in str(refused.value) + refused.value.hint


def test_one_that_is_taken_back_is_waited_for(codespace: Codespace) -> None:
    codespace.submit("first", "until [ -e go ]; do sleep 0.1; done")
    codespace.submit("job", "true", secrets={"KEY": "KEY"}, after=["first"])
    codespace.give(GITHUB_TOKEN=TOKEN)
    (codespace.home / "go").touch()
    said = "waits for the secret KEY, which this codespace does not have: cs secret set KEY"
    eventually(lambda: codespace.show("job")["job"]["reason"] == said, "it says what it waits for")
    codespace.give(GITHUB_TOKEN=TOKEN, KEY=KEY)
    assert codespace.wait("job", timeout=60)["state"] == "COMPLETED"
