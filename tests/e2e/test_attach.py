"""The job's own terminal, looked at and typed into on a real one."""

from __future__ import annotations

import os

from tests.support.agent import Agent, eventually
from tests.support.cli import Orch
from tests.support.terminal import Terminal

TALKS = 'echo ready; while read -r line; do echo "got <$line>"; done'


def test_see_type_and_detach(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    orch("run", "talk", TALKS)
    agent.running("talk")
    terminal.start(orch.argv("attach", "talk"))
    terminal.shows("ready")
    terminal.types("hello there")
    terminal.keys("Enter")
    terminal.shows("got <hello there>")
    terminal.keys("C-b", "d")
    assert "talk.1 runs on; orch attach talk" in terminal.shows("[ended 0]")
    assert agent.show("talk")["job"]["state"] == "RUNNING"
    assert "got <hello there>" in orch("logs", "talk").out


def test_come_back_after_its_session_was_killed(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    orch("run", "talk", TALKS)
    agent.running("talk")
    eventually(lambda: "talk" in agent.tmux("list-sessions"), "there is a session")
    agent.tmux("kill-server")
    terminal.start(orch.argv("attach", "talk"))
    terminal.shows("ready")
    terminal.types("again")
    terminal.keys("Enter")
    terminal.shows("got <again>")


def test_colours_arrive(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    orch("run", "colour", "printf '\\033[31mred\\033[0m\\n'; read x")
    agent.running("colour")
    terminal.start(orch.argv("attach", "colour"))
    terminal.shows("red")
    assert "\x1b[31mred" in terminal.screen("-e")


def test_control_c_reaches_the_job(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    orch("run", "talk", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done")
    agent.running("talk")
    terminal.start(orch.argv("attach", "talk"))
    terminal.shows("ready")
    terminal.keys("C-c")
    assert orch("wait", "talk").status == 9
    assert "talk.1 FAILED, exit status 9; orch logs talk" in terminal.shows("[ended 0]")
    assert "caught" in orch("logs", "talk").out


def test_from_inside_the_tmux_that_shows_the_jobs(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    """A person who works in the same tmux server is taken to the job's session, not into a hall of mirrors."""
    orch("run", "talk", TALKS)
    agent.running("talk")
    eventually(lambda: "talk" in agent.tmux("list-sessions"), "there is a session")
    terminal.start(["-u", "TMUX", "tmux", "new-session", "-s", "mine"])
    eventually(lambda: "mine" in agent.tmux("list-sessions"), "the person's session is there")
    words = " ".join(f"'{word}'" for word in orch.argv("attach", "talk"))
    script = orch.home / "attach"
    script.write_text(words)
    agent.tmux("send-keys", "-t", "=mine:", f". {script}", "Enter")
    terminal.shows("ready")
    eventually(lambda: "talk" in agent.tmux("list-clients", "-F", "#{session_name}"), "the client shows the job")


def test_without_a_terminal(orch: Orch, agent: Agent) -> None:
    orch("run", "talk", TALKS)
    agent.running("talk")
    done = orch("attach", "talk")
    assert (done.status, done.out) == (1, "")
    assert done.err == "orch: attach needs a terminal, and this is none\n  orch logs -f talk\n"


def test_what_cannot_be_attached_to(orch: Orch, terminal: Terminal) -> None:
    orch("run", "over", "true", "--wait")
    terminal.start(orch.argv("attach", "over"))
    screen = terminal.shows("[ended 1]")
    assert "over.1 has ended (COMPLETED)" in screen
    assert "orch logs over" in screen


def test_without_tmux_jobs_run_and_attach_says_what_to_install(orch: Orch, terminal: Terminal) -> None:
    tools = orch.home / "tools"
    tools.mkdir()
    for directory in os.environ["PATH"].split(os.pathsep):
        for name in os.listdir(directory) if os.path.isdir(directory) else []:
            if name != "tmux" and not (tools / name).is_symlink():
                (tools / name).symlink_to(os.path.join(directory, name))
    env = {"PATH": str(tools)}
    assert orch("run", "talk", "echo hello; exit 3", "-f", env=env).status == 3
    assert orch("run", "lives", "sleep 300", env=env).status == 0
    terminal.start(orch.argv("attach", "lives"), env)
    screen = terminal.shows("[ended 1]")
    assert "tmux, which is not installed" in screen
    assert "install" in screen.partition("not installed")[2]


def test_from_a_pane_that_nobody_looks_at(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    orch("run", "talk", TALKS)
    agent.running("talk")
    eventually(lambda: "talk" in agent.tmux("list-sessions"), "there is a session")
    socket = agent.tmux("display-message", "-p", "#{socket_path}").strip()
    terminal.start(orch.argv("attach", "talk"), {"TMUX": f"{socket},1,0"})
    assert "orch logs -f talk" in terminal.shows("[ended 1]")


def test_suspended_and_continued(orch: Orch, agent: Agent, terminal: Terminal) -> None:
    """tmux suspends only itself; the shell that started us has to get its terminal back all the same."""
    orch("run", "talk", TALKS)
    agent.running("talk")
    terminal.start(["bash", "--norc", "-i"], {"PS1": "shell> "})
    terminal.shows("shell>")
    script = orch.home / "attach"
    script.write_text(" ".join(f"'{word}'" for word in orch.argv("attach", "talk")))
    terminal.types(f". {script}")
    terminal.keys("Enter")
    terminal.shows("ready")
    terminal.keys("C-b", "C-z")
    terminal.shows("Stopped")
    terminal.types("fg")
    terminal.keys("Enter")
    terminal.shows("ready")
    terminal.keys("C-b", "d")
    terminal.shows("talk.1 runs on; orch attach talk")
