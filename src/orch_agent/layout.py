"""Every path on the host, once.

``~/.orch`` holds what orch knows (``ORCH_HOME`` moves it, logs included); ``~/logs`` what jobs wrote.
Sockets are bound and reached relative to their directory: their paths may not exceed 104 bytes.
"""

from __future__ import annotations

import functools
import os
from typing import Optional

SOCKET = "tty.sock"
SUPERVISOR_SOCKET = "supervisor.sock"


def home() -> str:
    """The person's home directory."""
    return os.path.expanduser("~")


def root() -> str:
    """Where orch keeps its own files on this host."""
    return _root(os.environ.get("ORCH_HOME"), os.environ.get("HOME"))


@functools.lru_cache(maxsize=1)
def _root(chosen: Optional[str], _: Optional[str]) -> str:
    return chosen or os.path.join(home(), ".orch")


def logs() -> str:
    """Where the logs of jobs are: ``logs/NAME/RUN.log``."""
    return _logs(os.environ.get("ORCH_HOME"), os.environ.get("HOME"))


@functools.lru_cache(maxsize=1)
def _logs(chosen: Optional[str], _: Optional[str]) -> str:
    return os.path.join(chosen or home(), "logs")


def ledger() -> str:
    """The host's database of jobs."""
    return os.path.join(root(), "ledger.db")


def closed_file() -> str:
    """Tells why and until when this host takes no jobs."""
    return os.path.join(root(), "closed")


def settings_file() -> str:
    """What laptops' configurations say of this host."""
    return os.path.join(root(), "settings.json")


def ended_log() -> str:
    """A line for every run that has ended, where this file exists."""
    return os.path.join(root(), "ended.log")


def used_file() -> str:
    """Touched when somebody uses this host."""
    return os.path.join(root(), "used")


def retention_file() -> str:
    """When it was last looked for what is old, and by which clock."""
    return os.path.join(root(), "retention.json")


def notices_file() -> str:
    """What the next answer tells the person, a line each."""
    return os.path.join(root(), "notices")


def machine_file() -> str:
    """Which machine the ledger is of."""
    return os.path.join(root(), "machine")


def contact_file() -> str:
    """Touched when a laptop calls; a codespace's only."""
    return os.path.join(root(), "contact")


def rights_file() -> str:
    """What this codespace may ask of GitHub."""
    return os.path.join(root(), "rights.json")


def awake_lock() -> str:
    """Held by who keeps this codespace awake, and stops it; not in ``live``, for it means no work."""
    return os.path.join(root(), "awake.lock")


def awake_file() -> str:
    """From when to when this codespace was awake."""
    return os.path.join(root(), "awake.json")


def room_file() -> str:
    """Room on the disk that is given back once it is full."""
    return os.path.join(root(), "room")


def heir_file() -> str:
    """Which newer agent shall take over who holds ``awake.lock``."""
    return os.path.join(root(), "awake.heir")


def wake_script() -> str:
    """What a codespace runs when it starts."""
    return os.path.join(root(), "wake")


def tmux_file() -> str:
    """Locked while tmux is installed; tells how that went."""
    return os.path.join(root(), "tmux-install")


def jobs_dir() -> str:
    """A directory for every job and every array."""
    return os.path.join(root(), "jobs")


def job_dir(job_id: str) -> str:
    """The directory of one job: its socket, samples, time index, cursors, result and what it puts out."""
    return os.path.join(jobs_dir(), job_id)


def out_dir(job_id: str) -> str:
    """What the job wants to have brought to a laptop: its ``$ORCH_OUT``."""
    return os.path.join(job_dir(job_id), "out")


def code_dir(owner: str) -> str:
    """The working tree of this submission, if it came with one: its own, made when its first job starts."""
    return os.path.join(job_dir(owner), "code")


def code_lock(owner: str) -> str:
    """Held by who lays that tree out; tells how it goes. It is there until that is done."""
    return os.path.join(job_dir(owner), "code.lock")


def code_mark(owner: str) -> str:
    """By which boot of the host that tree was laid out, or that all of it is on the disk."""
    return os.path.join(job_dir(owner), "code.mark")


def stores() -> str:
    """The snapshots of working trees, a directory for each repository that they are of."""
    return os.path.join(root(), "code")


def store(name: str) -> str:
    """A bare repository of git's: the snapshots of one repository."""
    return os.path.join(stores(), name, "git")


def shared_dir(name: str, path: str) -> str:
    """A directory that all runs of one repository have in common."""
    return os.path.join(stores(), name, "share", path)


def secrets_dir() -> str:
    """Where secrets wait for their jobs on a host whose file systems are none of them memory."""
    return os.path.join(root(), "secrets")


def work() -> str:
    """The clones of repositories."""
    return os.path.join(home(), "work")


def keys_dir() -> str:
    """The deploy keys of this host, each with its public half, and the host keys of the forges that take them."""
    return os.path.join(root(), "keys")


def repositories_file() -> str:
    """Which repositories were cloned by our hand, by the names of their directories."""
    return os.path.join(root(), "repos.json")


def ssh_config() -> str:
    """A block for each deploy key; ~/.ssh/config includes it."""
    return os.path.join(root(), "ssh_config")


def spec_file(owner: str) -> str:
    """What was submitted under this id, a job or an array, in case that the ledger is lost."""
    return os.path.join(job_dir(owner), "spec.json")


def unstarted_file(owner: str) -> str:
    """How jobs of this submission ended that had not started, a line each."""
    return os.path.join(job_dir(owner), "unstarted")


def remarks_file(owner: str) -> str:
    """What could not be promised when this was submitted, if anything."""
    return os.path.join(job_dir(owner), "remarks")


def result_file(job_id: str) -> str:
    """Written once, by whoever saw the job end."""
    return os.path.join(job_dir(job_id), "result.json")


def cancel_file(job_id: str) -> str:
    """Exists once somebody asked for the job's end; holds the grace in seconds."""
    return os.path.join(job_dir(job_id), "cancel")


def condemned_file(job_id: str) -> str:
    """Exists once the guard has decided to kill the job; tells why, and which attempt."""
    return os.path.join(job_dir(job_id), "condemned")


def usage_file(job_id: str) -> str:
    """The newest sample of memory and processor time, overwritten in place."""
    return os.path.join(job_dir(job_id), "usage")


def frozen_file(job_id: str) -> str:
    """Exists while the guard has frozen the job; holds since when."""
    return os.path.join(job_dir(job_id), "frozen")


def samples_file(job_id: str) -> str:
    """What this attempt has used over time."""
    return os.path.join(job_dir(job_id), "samples")


def black_box(job_id: str) -> str:
    """What was seen at this attempt's peak of memory, and at its end."""
    return os.path.join(job_dir(job_id), "blackbox.json")


def times_file(job_id: str) -> str:
    """When which byte of the log was written: pairs of seconds and offset."""
    return os.path.join(job_dir(job_id), "times")


def dropped_file(job_id: str) -> str:
    """From where to where the log has a hole: ``logcap``."""
    return os.path.join(job_dir(job_id), "dropped")


def reader_file(job_id: str, reader: str) -> str:
    """How far a named reader of the log has come."""
    return os.path.join(job_dir(job_id), "readers", reader)


def typed_file(job_id: str, request: str) -> str:
    """Exists once the text of that request was typed into the job's terminal."""
    return os.path.join(job_dir(job_id), "typed", request)


def live_dir() -> str:
    """One lock file for every job that runs."""
    return os.path.join(root(), "live")


def lock_file(job_id: str) -> str:
    """Held by the job's runner for as long as the job lives."""
    return os.path.join(live_dir(), job_id + ".lock")


def adopt_file(job_id: str) -> str:
    """Held by whoever adopted the job, so that only one does."""
    return os.path.join(live_dir(), job_id + ".adopt")


def supervisor_lock() -> str:
    """Held by the host's supervisor for as long as there is anything to do; tells who it is."""
    return os.path.join(live_dir(), "supervisor.lock")


def hold_file() -> str:
    """Exists while the guard admits nobody; tells why. It means nothing without a supervisor."""
    return os.path.join(root(), "hold")


def supervisor_socket() -> str:
    """Where the supervisor is told that something has changed."""
    return os.path.join(root(), SUPERVISOR_SOCKET)


def log_file(name: str, run: int) -> str:
    """The log of ``NAME.run``."""
    return "%s/%s/%d.log" % (logs(), name, run)


def log_link(name: str) -> str:
    """A link to the newest log of ``NAME``."""
    return os.path.join(logs(), name, "run.log")
