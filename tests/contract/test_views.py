"""The job's terminal as people see it: a view that may come, go, be slow, or never be opened."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.programs import path_without
from tests.support.agent import Agent, Refused, eventually

SCREEN = """
import os, signal, sys, time
def draw(*_):
    rows, columns = os.get_terminal_size().lines, os.get_terminal_size().columns
    text = b"\\x1b[2J\\x1b[H\\x1b[7mtop bar\\x1b[0m\\x1b[5;3Hmiddle %dx%d\\x1b[%d;1Hbottom"
    os.write(1, text % (rows, columns, rows))
signal.signal(signal.SIGWINCH, draw)
os.write(1, b"before\\r\\n\\x1b[?1049h")
draw()
while True: time.sleep(0.05)
"""


class Client:
    """A person at a terminal of their own, attached through tmux."""

    def __init__(self, argv: list[str], rows: int = 24, columns: int = 80) -> None:
        self.shown = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execvp(argv[0], argv)
        self.size(rows, columns)

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def type(self, data: bytes) -> None:
        os.write(self.fd, data)

    def sees(self, text: bytes) -> None:
        os.set_blocking(self.fd, False)
        eventually(lambda: text in self._look(), f"{text!r} on the client's terminal")

    def _look(self) -> bytes:
        try:
            self.shown += os.read(self.fd, 65536)
        except OSError:
            pass
        return self.shown

    def gone(self) -> bool:
        self._look()
        return os.waitpid(self.pid, os.WNOHANG)[0] == self.pid

    def close(self) -> None:
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.fd)


@pytest.fixture
def attach(agent: Agent) -> Iterator[Any]:
    clients: list[Client] = []

    def _attach(ref: str, **size: int) -> Client:
        clients.append(Client(agent.call("attach", job=ref)["argv"], **size))
        return clients[-1]

    yield _attach
    for client in clients:
        client.close()


def screen(agent: Agent, session: str, *flags: str) -> str:
    return agent.tmux("capture-pane", "-p", *flags, "-t", f"={session}:")


def shows(agent: Agent, session: str, text: str, *flags: str) -> str:
    return eventually(
        lambda: (seen := screen(agent, session, *flags)) and text in seen and seen, f"{text!r} in {session}"
    )


def view_of(agent: Agent, session: str) -> int:
    return int(
        eventually(lambda: agent.tmux("list-panes", "-t", f"={session}:", "-F", "#{pane_pid}").strip(), "a pane")
    )


def test_the_very_first_job_has_its_view(agent: Agent) -> None:
    agent.submit("first", "echo hello from the job; sleep 300")
    eventually(lambda: "first" in agent.tmux("list-sessions"), "its view is open")
    shows(agent, "first", "hello from the job")


def test_the_view_ends_with_the_job(agent: Agent) -> None:
    agent.submit("brief", "echo hello; read x")
    agent.call("attach", job="brief")
    shows(agent, "brief", "hello")
    agent.call("send", job="brief", text="")
    agent.wait("brief")
    eventually(lambda: "brief" not in agent.tmux("list-sessions"), "the session is gone")


def test_attach_opens_the_view_and_says_how_to_look(agent: Agent) -> None:
    agent.submit("look", "echo hello; sleep 300")
    answer = agent.call("attach", job="look.1")
    assert (answer["argv"], answer["session"]) == (["tmux", "attach-session", "-t", "=look"], "look")
    shows(agent, "look", "hello")
    assert agent.call("attach", job="look")["session"] == "look"
    assert agent.tmux("list-sessions").count("look") == 1


def test_typing_reaches_the_job(agent: Agent) -> None:
    agent.submit("ask", 'read -p "name? " name; echo "hello $name"; cat')
    agent.call("attach", job="ask")
    shows(agent, "ask", "name?")
    agent.tmux("send-keys", "-t", "=ask:", "Zoë Ü", "Enter")
    shows(agent, "ask", "hello Zoë Ü")
    agent.tmux("send-keys", "-t", "=ask:", "C-d")
    assert agent.wait("ask")["state"] == "COMPLETED"


def test_interrupt_reaches_the_job(agent: Agent) -> None:
    agent.submit("loop", "trap 'echo interrupted; exit 42' INT; echo going; while :; do sleep 0.05; done")
    agent.call("attach", job="loop")
    shows(agent, "loop", "going")
    agent.tmux("send-keys", "-t", "=loop:", "C-c")
    job = agent.wait("loop")
    assert (job["state"], job["exit_code"]) == ("FAILED", 42)
    assert b"^Cinterrupted" in agent.log("loop")


def test_quit_and_stop_keys_are_the_terminals(agent: Agent) -> None:
    agent.submit("quit", "echo going; exec sleep 300")
    agent.call("attach", job="quit")
    shows(agent, "quit", "going")
    agent.tmux("send-keys", "-t", "=quit:", "C-\\")
    assert agent.wait("quit")["signal"] == signal.SIGQUIT


def test_send_types_a_line(agent: Agent) -> None:
    agent.submit("listen", 'while read -r line; do echo "<$line>"; [ "$line" = end ] && exit 6; done')
    agent.running("listen")
    for text in ("plain", "two  blanks", "quotes ' \" $HOME `x` \\", "emoji 🦉", "\udcff", "-n", "", "a\nb", "end"):
        agent.call("send", job="listen", text=text)
    assert agent.wait("listen")["exit_code"] == 6
    log = agent.log("listen")
    for wanted in (
        b"<plain>",
        b"<two  blanks>",
        b"<quotes ' \" $HOME `x` \\>",
        "<emoji 🦉>".encode(),
        b"<\xff>",
        b"<-n>",
        b"<>",
        b"<a>",
        b"<b>",
    ):
        assert wanted in log, wanted


def test_send_without_tmux_or_views(agent: Agent) -> None:
    agent.submit("listen", 'read -r line; echo "<$line>"')
    agent.running("listen")
    agent.tmux("kill-server")
    agent.call("send", job="listen", text="hello")
    agent.wait("listen")
    assert b"<hello>" in agent.log("listen")


def test_send_is_refused_where_nobody_listens(agent: Agent) -> None:
    agent.finished("over", "true")
    agent.submit("plain", "sleep 300", tty=False)
    agent.running("plain")
    for name, words in (("over", "not running"), ("plain", "no terminal"), ("nobody", "no job")):
        with pytest.raises(Refused, match=words):
            agent.call("send", job=name, text="x")
    agent.submit("line", "cat")
    with pytest.raises(Refused, match="4095"):
        agent.call("send", job="line", text="x" * 4096)


def test_a_job_that_does_not_read_blocks_nobody(agent: Agent) -> None:
    agent.submit("deaf", "stty raw -echo; echo raw; until [ -e go ]; do sleep 0.05; done; head -c 60000 | md5sum")
    eventually(lambda: b"raw" in agent.log("deaf"), "its terminal is raw")
    view = agent.popen("send", {"job": "deaf", "text": "\n".join(["y" * 3999] * 15)})
    assert agent.show("deaf")["job"]["state"] == "RUNNING"
    (agent.home / "go").touch()
    assert view.wait(30) == 0, view.communicate()
    for pipe in (view.stdin, view.stdout, view.stderr):
        assert pipe is not None
        pipe.close()
    agent.wait("deaf")


def test_the_window_follows_its_client(agent: Agent, attach: Any) -> None:
    agent.submit("size", "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done")
    agent.running("size")
    agent.call("attach", job="size")
    agent.tmux("resize-window", "-t", "=size:", "-x", "91", "-y", "33")
    eventually(lambda: b"33 91" in agent.log("size"), "the job's window is 33 x 91")
    agent.tmux("set-option", "-w", "-t", "=size:", "window-size", "latest")
    client = attach("size", rows=20, columns=71)
    eventually(lambda: re.search(rb"\b(19|20) 71\b", agent.log("size")), "the window has the client's size")
    client.size(40, 130)
    eventually(lambda: re.search(rb"\b(39|40) 130\b", agent.log("size")), "and follows it")


def test_the_window_follows_whoever_came_last(agent: Agent, attach: Any) -> None:
    agent.submit("size", "trap 'stty size' WINCH; while :; do sleep 0.05; done")
    agent.running("size")
    attach("size", rows=20, columns=71)
    eventually(lambda: b" 71\r" in agent.log("size"), "the first client's size")
    attach("size", rows=44, columns=99)
    eventually(lambda: b" 99\r" in agent.log("size"), "the second client's size")


def test_two_people_look_and_type(agent: Agent, attach: Any) -> None:
    agent.submit("both", 'stty -echo; echo ready; while read -r line; do echo "heard $line"; done')
    one, two = attach("both"), attach("both")
    one.sees(b"ready")
    two.sees(b"ready")
    one.type(b"from one\r")
    one.sees(b"heard from one")
    two.sees(b"heard from one")
    two.type(b"from two\r")
    one.sees(b"heard from two")
    agent.tmux("set-option", "-g", "assume-paste-time", "0")  # the test types faster than any hand: no paste
    one.type(b"\x02d")
    eventually(one.gone, "the first has detached")
    two.type(b"still here\r")
    two.sees(b"heard still here")
    assert agent.show("both")["job"]["state"] == "RUNNING"


def test_a_full_screen_program_is_drawn_again(agent: Agent) -> None:
    (agent.home / "screen.py").write_text(SCREEN)
    agent.submit("screen", "exec python3 -S screen.py")
    eventually(lambda: b"bottom" in agent.log("screen"), "it has drawn")
    for _ in range(2):
        agent.tmux("kill-server")
        agent.call("attach", job="screen")
        seen = shows(agent, "screen", "middle 30x120")
        lines = seen.rstrip("\n").split("\n")
        assert (lines[0], lines[4], lines[-1]) == ("top bar", "  middle 30x120", "bottom"), seen
        assert agent.tmux("display-message", "-p", "-t", "=screen:", "#{alternate_on}").strip() == "1"
        assert "\x1b[7mtop bar" in screen(agent, "screen", "-e")


def test_less_is_drawn_again_and_listens(agent: Agent) -> None:
    (agent.home / "text").write_text("".join(f"line {n}\n" for n in range(1, 1001)))
    agent.submit("less", "LESS= less text")
    eventually(lambda: b"line 29" in agent.log("less"), "it shows the first page")
    agent.tmux("kill-server")
    agent.call("attach", job="less")
    shows(agent, "less", "line 1\n")
    agent.tmux("send-keys", "-t", "=less:", "G")
    shows(agent, "less", "line 1000\n")
    agent.tmux("kill-server")
    agent.call("attach", job="less")
    shows(agent, "less", "line 1000\n")
    agent.tmux("send-keys", "-t", "=less:", "q")
    assert agent.wait("less")["state"] == "COMPLETED"


def test_a_program_that_left_the_full_screen_is_shown_as_text(agent: Agent) -> None:
    agent.submit("left", "echo before; printf '\\e[?1049hinside\\e[?1049l'; echo after; sleep 300")
    eventually(lambda: b"after" in agent.log("left"), "it is back")
    agent.tmux("kill-server")
    agent.call("attach", job="left")
    seen = shows(agent, "left", "after")
    assert seen.split("\n")[:2] == ["before", "after"]


def test_colour_and_progress_bars_live(agent: Agent) -> None:
    agent.submit(
        "bar",
        "printf '\\e[1;32mgreen\\e[0m plain\\n'; "
        "for n in 1 2 3; do printf '\\r\\e[K%d0 %%' $n; sleep 0.02; done; read x",
    )
    agent.call("attach", job="bar")
    seen = shows(agent, "bar", "30 %", "-e")
    assert "\x1b[1m\x1b[32mgreen" in seen
    assert "10 %" not in seen


def test_a_reopened_view_shows_what_was(agent: Agent) -> None:
    agent.submit("long", "seq 1 5000; echo last line; sleep 300")
    eventually(lambda: b"last line" in agent.log("long"), "all is written")
    agent.tmux("kill-server")
    assert agent.show("long")["job"]["state"] == "RUNNING"
    agent.call("attach", job="long")
    seen = shows(agent, "long", "last line")
    assert "5000\nlast line" in seen
    history = screen(agent, "long", "-S", "-")
    lines = [line for line in history.split("\n") if line.isdigit()]
    assert lines[-1000:] == [str(n) for n in range(4001, 5001)]


def test_the_job_and_its_log_do_not_notice_that_tmux_dies(agent: Agent) -> None:
    agent.submit("on", "for n in $(seq 200); do echo line $n; sleep 0.005; done; exit 3")
    agent.call("attach", job="on")
    for _ in range(5):
        agent.tmux("kill-server")
        try:
            agent.call("attach", job="on")
        except Refused:
            break  # it was quicker
    job = agent.wait("on")
    assert (job["state"], job["exit_code"]) == ("FAILED", 3)
    assert agent.log("on") == b"".join(b"line %d\r\n" % n for n in range(1, 201))


def test_a_stopped_view_does_not_slow_the_job(agent: Agent) -> None:
    agent.submit(
        "fast",
        "echo ready; until [ -e go ]; do sleep 0.02; done; head -c 20000000 /dev/zero | tr '\\0' x; echo done; read",
    )
    agent.call("attach", job="fast")
    shows(agent, "fast", "ready")
    view = view_of(agent, "fast")
    os.kill(view, signal.SIGSTOP)
    try:
        (agent.home / "go").touch()
        eventually(
            lambda: agent.log("fast", tail=1).endswith(b"done\r\n"), "all is written while the view stands still", 20
        )
        assert Path(agent.show("fast")["job"]["log_path"]).stat().st_size == 7 + 20_000_006
    finally:
        os.kill(view, signal.SIGCONT)
    # Awake again, it catches up with the end.
    shows(agent, "fast", "done")


def test_a_killed_view_is_opened_again(agent: Agent) -> None:
    agent.submit("again", "echo hello; sleep 300")
    agent.call("attach", job="again")
    shows(agent, "again", "hello")
    os.kill(view_of(agent, "again"), signal.SIGKILL)
    eventually(lambda: "again" not in agent.tmux("list-sessions"), "the session is gone")
    agent.call("attach", job="again")
    shows(agent, "again", "hello")
    assert agent.show("again")["job"]["state"] == "RUNNING"


def test_somebody_elses_session_of_that_name_is_left_alone(agent: Agent) -> None:
    agent.tmux("new-session", "-d", "-s", "mine", "sleep 300")
    agent.submit("mine", "echo the job; sleep 300")
    answer = agent.call("attach", job="mine")
    assert answer["session"] == "mine-1"
    shows(agent, "mine-1", "the job")
    agent.call("cancel", jobs=["mine"], grace=1)
    eventually(lambda: "mine-1" not in agent.tmux("list-sessions"), "the view is gone")
    assert "mine:" in agent.tmux("list-sessions")


def test_the_view_of_a_job_without_a_terminal(agent: Agent) -> None:
    agent.submit("plain", "echo one; echo two; sleep 300", tty=False)
    agent.call("attach", job="plain")
    seen = shows(agent, "plain", "two")
    assert seen.split("\n")[:2] == ["one", "two"]


def test_the_next_run_gets_the_name_of_the_session(agent: Agent) -> None:
    for word in ("first", "second", "third"):
        agent.submit("again", f"echo {word}; sleep 300")
        assert agent.call("attach", job="again")["session"] == "again"
        shows(agent, "again", word)
        agent.call("cancel", jobs=["again"], grace=0)


def test_what_has_ended_cannot_be_attached(agent: Agent) -> None:
    agent.finished("over", "true")
    with pytest.raises(Refused, match=r"over.1 has ended \(COMPLETED\)") as refused:
        agent.call("attach", job="over")
    assert refused.value.hint == "orch logs over.1"


@pytest.fixture
def no_tmux(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with every program of this machine but tmux."""
    monkeypatch.setenv("PATH", path_without("tmux", home / "programs"))
    assert shutil.which("tmux") is None


def test_without_tmux_all_but_attach_works(no_tmux: None, home: Path) -> None:
    bare = Agent(home)
    bare.submit("bare", 'echo hello; read x; echo "<$x>"; exit 4')
    bare.running("bare")
    eventually(lambda: b"hello" in bare.log("bare"), "it logs")
    with pytest.raises(Refused, match="attach needs tmux") as refused:
        bare.call("attach", job="bare")
    assert refused.value.kind == "host"
    if shutil.which("apt-get"):
        assert refused.value.hint.endswith("apt-get install -y tmux")
    bare.call("send", job="bare", text="typed")
    assert bare.wait("bare")["exit_code"] == 4
    assert b"<typed>" in bare.log("bare")


WAITING = {
    "read": "read x",
    "read with a prompt": "read -p 'sure? ' x",
    "cat": "cat",
    "the terminal by its other name": "read x </dev/tty",
    "getpass": "exec python3 -c 'import getpass; getpass.getpass()'",
    "a child": "sh -c 'read x; true'; true",
    "the end of a pipe": "seq 3 | (read x </dev/tty; true)",
    "python input": "exec python3 -c 'input(\"name: \")'",
    "python readline": "exec python3 -ic 'pass'",
    "node": "exec node -i",
}
BUSY = {
    "sleep": "sleep 300",
    "python sleep": "exec python3 -c 'import time; time.sleep(300)'",
    "a loop": "while :; do :; done",
    "waiting for a child": "sleep 300 & wait",
    "reading a pipe": "sleep 300 | cat",
    "prompting, then working": "printf 'working... '; sleep 300",
}


@pytest.mark.parametrize("what", WAITING)
def test_waiting_for_input_is_seen(agent: Agent, what: str) -> None:
    agent.submit("waits", WAITING[what])
    eventually(lambda: agent.running("waits")["waiting_for_input"] is True, f"{what} waits for input")


@pytest.mark.parametrize("what", BUSY)
def test_work_is_not_taken_for_waiting(agent: Agent, what: str) -> None:
    agent.submit("busy", BUSY[what])
    agent.running("busy")
    until = time.monotonic() + 1.8  # beyond the second of quiet after which a prompt is believed
    while time.monotonic() < until:
        assert not agent.running("busy")["waiting_for_input"]
        time.sleep(0.1)
    assert agent.running("busy")["waiting_for_input"] is False


def test_who_may_look(agent: Agent) -> None:
    """The socket is the person's own."""
    agent.submit("private", "sleep 300")
    agent.running("private")
    for path in (agent.root / "jobs").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_nothing_of_the_caller_s_terminal_reaches_the_job(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/somewhere/else,1,0")
    monkeypatch.setenv("TMUX_PANE", "%9")
    agent.finished("env", "env | grep ^TMUX= ; tty; stty size; ps -o tpgid= -p $$ | xargs test $$ =; echo $?", env={})
    lines = agent.log("env").decode().split("\r\n")
    assert lines[0].startswith("/dev/pts/")
    assert lines[1:3] == ["30 120", "0"]
