"""Start agent processes that are nobody's children and that no logout ends.

Two forks and a session of its own are enough for SIGHUP. Where logind runs, the end of the last login
session may also kill what the session started (KillUserProcesses), and the end of the user's manager kills
its scopes: so with linger on, the process gets a scope of its own below the user's manager; without linger,
and where it cannot be switched on, the session's own scope is the safer place.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Callable, NamedTuple

from .. import badness
from ..model import JOB_ENV

original_umask = 0o022
"""What jobs get: the umask we were started with; our own files are private."""

AGENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The directory that this agent runs from."""

_SCRUBBED = ("TMUX", "TMUX_PANE", "ORCH_PYTHON", "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", *JOB_ENV)


def set_private_umask() -> None:
    """Make what this process writes private, and remember what the person had."""
    global original_umask
    original_umask = os.umask(0o077)


def deafen() -> None:
    """Ignore every signal that would end or stop a process and may come by accident; TERM and crashes are none."""
    for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "VTALRM", "PROF", "PIPE", "TSTP", "TTIN", "TTOU"):
        signal.signal(getattr(signal, "SIG" + name), signal.SIG_IGN)


class Login(NamedTuple):
    """What systemd says about this login: does it run, does the person linger, is there a user bus."""

    systemd: bool
    lingers: bool
    user_bus: bool
    is_root: bool


def login() -> Login:
    """Look at this system."""
    import pwd

    uid = os.getuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR", "/run/user/%d" % uid)
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Login(
        systemd=os.path.isdir("/run/systemd/system"),
        lingers=os.path.exists("/var/lib/systemd/linger/" + name),
        user_bus=os.path.exists(os.path.join(runtime, "bus")),
        is_root=uid == 0,
    )


def scoped(words: Sequence[str], facts: Login, linger: Callable[[], bool]) -> list[str]:
    """``words``, in a scope of the user's own where that outlives the login."""
    # Root's processes are spared by logind, and root needs no delegation.
    if not facts.systemd or not facts.user_bus or facts.is_root:
        return list(words)
    if not facts.lingers and not linger():
        return list(words)
    scope = 'systemd-run --user --scope --quiet --collect -p Delegate=yes -- "$@" || exec "$@"'
    return ["sh", "-c", scope, "orch", *words]


def enable_linger() -> bool:
    """Have the person's processes outlive their logins; whether they do."""
    import subprocess

    try:
        return subprocess.run(["loginctl", "enable-linger"], stdin=-3, stdout=-3, stderr=-3, timeout=5).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def environment() -> dict[str, str]:
    """Our environment without what belongs to the job, the terminal or the connection we were called from."""
    gone = (*_SCRUBBED, "SSH_AUTH_SOCK") if "SSH_CONNECTION" in os.environ else _SCRUBBED
    return {key: value for key, value in os.environ.items() if key not in gone}


def command(verb: str, *words: str) -> list[str]:
    """The command line that calls this very agent."""
    return [sys.executable, "-I", "-S", AGENT, verb, *words]


def agent(verb: str, job_id: str) -> None:
    """Start ``verb`` of this agent for a job, as nobody's child, and return at once."""
    from .. import layout

    aside(lambda: _become(os.path.join(layout.job_dir(job_id), "agent.err"), verb, job_id))


def companion(verb: str) -> None:
    """Start ``verb`` of this agent for this host, as nobody's child, and return at once."""
    from .. import layout

    aside(lambda: _become(os.path.join(layout.root(), verb + ".err"), verb))


def aside(work: Callable[[], None]) -> None:
    """Have ``work`` done by nobody's child, which holds nothing of what we have open, and return at once."""
    child = os.fork()
    if child:
        try:
            os.waitpid(child, 0)
        except ChildProcessError:
            pass  # the kernel reaps for whoever ignores SIGCHLD
        return
    try:
        os.setsid()
        if os.fork() == 0:
            _let_go()
            work()
    finally:
        os._exit(0)


def become_runner() -> None:
    """In a fresh fork of the supervisor: a session of its own, nothing of what that has open but its errors."""
    os.setsid()
    _let_go(standard=(0, 1))
    os.umask(0o077)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _hear_errors(path: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    except OSError:
        pass  # a full or read-only disk: what it has to say is lost, the job is not


def _let_go(standard: Sequence[int] = (0, 1, 2)) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in standard:
        os.dup2(null, stream)
    os.closerange(3, 4096)
    os.umask(original_umask)
    badness.be_usual()


def _become(errors: str, *words: str) -> None:
    _hear_errors(errors)
    os.chdir("/")
    line = scoped(command(*words), login(), enable_linger)
    os.execvpe(line[0], line, environment())
