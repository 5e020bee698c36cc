"""The job's terminal in the person's own tmux: a session for each job, so that ``tmux ls`` shows the jobs.

The session is a view and nothing more: it may be killed, be missing, or never be opened.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from .. import layout, locks, terminal
from ..ledger import Record
from ..model import JOB_ENV, Refusal
from . import detach

_CROWD = 64
"""Above so many live jobs, views are opened when somebody attaches, not before."""
_OPTION = "@orch_job"
_PATIENCE = 5.0
"""Seconds that tmux may take to answer."""


def available() -> bool:
    """Whether tmux is installed."""
    return shutil.which("tmux") is not None


def _tmux(*words: str) -> tuple[int, str]:
    environment = detach.environment()
    try:
        done = subprocess.run(["tmux", *words], stdin=-3, stdout=-1, stderr=-2, env=environment, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise Refusal("host", "tmux does not answer: is its server stopped?", "tmux kill-server", True) from None
    return done.returncode, os.fsdecode(done.stdout).strip()


def open_if_few(record: Record) -> None:
    """Open the view of a job that starts; a job needs none, so nothing that goes wrong here matters."""
    try:
        if available() and sum(name.endswith(".lock") for name in os.listdir(layout.live_dir())) <= _CROWD:
            open_view(record)
    except (OSError, Refusal):
        pass


def _sessions() -> dict[str, str]:
    """The open sessions and the job each is a view of; empty for those that are not ours."""
    code, said = _tmux("list-sessions", "-F", "#{session_name} #{%s}" % _OPTION)
    return dict(line.partition(" ")[::2] for line in said.splitlines()) if code == 0 else {}


def open_view(record: Record) -> str:
    """Make sure that the view is open; the name of its session: NAME, or NAME-n where NAME is somebody's own."""
    said = ""
    for session in (record.name, "%s-%d" % (record.name, record.run), record.id):
        said = _create(record, session)
        if not said:
            return session
        owner = _sessions().get(session)
        if owner == record.id:
            return session
        if owner and not locks.is_held(layout.lock_file(owner)):
            # The view of an earlier run, about to close.
            _tmux("kill-session", "-t", "=" + session)
            if not _create(record, session):
                return session
    raise Refusal("host", "tmux could not open a view of %s: %s" % (record.ref, said), "orch logs -f %s" % record.ref)


def _create(record: Record, session: str) -> str:
    """Open a session; what tmux said against it."""
    # The pane must not inherit what tmux's server was started with: it might be a job's marker.
    words = ["env", *(word for key in JOB_ENV for word in ("-u", key))]
    if "ORCH_HOME" in os.environ:
        words.append("ORCH_HOME=" + os.environ["ORCH_HOME"])
    words += detach.command("view", record.id, "tty" if record.spec.tty else "plain")
    target = "=%s:" % session
    code, said = _tmux(
        *["new-session", "-d", "-s", session, "-n", record.name, "-x", str(terminal.COLUMNS), "-y", str(terminal.ROWS)],
        *map(_quoted, words),  # not one text: the person's default-shell may be anything
        *[";", "set-option", "-t", target, "destroy-unattached", "off"],
        *[";", "set-option", "-t", target, _OPTION, record.id],
        *[";", "set-option", "-w", "-t", target, "remain-on-exit", "off"],
        *[";", "set-option", "-w", "-t", target, "automatic-rename", "off"],
        *[";", "set-option", "-w", "-t", target, "window-size", "latest"],
    )
    # A job that is over at once takes its session along before its options are set: that is no failure.
    return said or "tmux failed" if code != 0 and "no such session" not in said and "can't find" not in said else ""


def _quoted(word: str) -> str:
    """A word that tmux does not take for the end of a command."""
    return word[:-1] + "\\;" if word.endswith(";") else word


def attach_words(record: Record) -> tuple[str, list[str]]:
    """The session and the command line that shows it on a terminal; refuses where there is no tmux."""
    if not available():
        from .. import provision

        failed = provision.finish()
        if not available():
            hint = install_command()
            said = "attach needs tmux, which is not installed on this host"
            said += " (%s)" % failed if failed else ""
            raise Refusal("host", said, hint, not hint.startswith("install "))
    session = open_view(record)
    return session, ["tmux", "attach-session", "-t", "=" + session]


def attached() -> int:
    """How many terminals show a view of a job, as far as tmux says."""
    try:
        code, said = _tmux("list-clients", "-F", "#{%s}" % _OPTION)
    except (OSError, Refusal):
        return 0
    return len(said.split()) if code == 0 else 0


def install_command() -> str:
    """How tmux is installed on this system."""
    from .. import packages  # few hosts lack it

    if sys.platform == "darwin":
        return "brew install tmux"
    return packages.install_command("tmux") or "install tmux with this system's package manager"
