"""What ``orch doctor`` says of the way to a host: by a connection made anew, as if there were none yet.

Nothing is asked of the person here: what stands in the way has a command that does ask.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence

from orch.errors import OrchError
from orch.model import Check
from orch.transport import LinkLost, ProcessStream, run_process

from . import BEGIN, SshTransport
from .connection import WIDTH, ConnectionFailed, Session, disconnect
from .trouble import InTheWay, settings

AT_ONCE = 10
"""Sessions in one connection that every sshd allows, unless told otherwise (MaxSessions in sshd_config(5))."""
_PATIENCE = 15.0  # seconds that the host's shell may take to begin
_MORE_SESSIONS = 'sudo sed -i "s/^ *MaxSessions .*/MaxSessions 10/" /etc/ssh/sshd_config && sudo systemctl reload sshd'


def look(transport: SshTransport) -> list[Check]:
    """The connection, the host's key, the person's keys, the host's shell, and how many sessions one connection has."""
    connection = transport.connection
    socket = connection.beside()
    began = time.monotonic()
    try:
        connection.connect(socket)
    except ConnectionFailed as failure:
        return _without(transport, transport.explained(failure))
    try:
        seconds = time.monotonic() - began
        checks = [_connection(transport, seconds), _host_key(transport), Check("keys", "ok", "nothing is asked for")]
        return [*checks, _sessions(transport, socket)]
    finally:
        disconnect(socket)


def _without(transport: SshTransport, error: OrchError) -> list[Check]:
    """There is no way without the person; perhaps one that the person has opened before."""
    if not isinstance(error, InTheWay):
        connection = transport.connection
        if connection.door.name:
            return [Check("connection", "failed", error.message, error.hint, here=True)]
        words = ["ssh", "-v", *connection.options, connection.address, "true"]
        return [Check("connection", "failed", error.message, shlex.join(words), here=True)]
    if not transport.connection.is_open():
        return [error.check]
    warning = error.check._replace(state="warning")
    if error.for_good:
        warning = warning._replace(mend=error.for_good, safe=True, here=True)
    return [Check("connection", "ok", f"{transport.connection.address}, by one that is open already"), warning]


def _connection(transport: SshTransport, seconds: float) -> Check:
    return Check("connection", "ok", f"{transport.connection.address}, {seconds:.2f} s to connect")


def _host_key(transport: SshTransport) -> Check:
    told = settings(transport.connection.options, transport.connection.address)
    if told.get("stricthostkeychecking") in (["false"], ["no"], ["off"]):
        says = "whatever key comes is taken (StrictHostKeyChecking=no): nobody would notice somebody in between"
        places = shlex.join(filter(None, ["/etc/ssh/ssh_config", transport.host.source]))
        return Check("host key", "warning", says, f"grep -i StrictHostKeyChecking ~/.ssh/config {places}", here=True)
    return Check("host key", "ok", "known")


def _sessions(transport: SshTransport, socket: str) -> Check:
    """Really opens them, all at once; the first one alone, to see whether the host's shell does what it is told."""
    words = transport.words(Session(socket), "exec cat")
    try:
        begun = BEGIN in run_process(words, b"", _PATIENCE).out
        granted = _granted(words) if begun else 0
    except LinkLost as lost:
        return _mute(transport, lost.message)
    if not begun:
        return _mute(transport, "does a start-up file, ~/.bashrc perhaps, begin another shell?")
    if granted < WIDTH:
        says = f"only {granted} at once in one connection (MaxSessions): many commands at once need more connections"
        return Check("sessions", "warning", says, _MORE_SESSIONS)
    return Check("sessions", "ok", f"{granted} at once in one connection")


def _mute(transport: SshTransport, why: str) -> Check:
    says = f"{transport.host.name} does not run what it is asked to: {why}"
    return Check("shell", "failed", says, f"orch ssh {transport.host.name}", here=True)


def _granted(words: Sequence[str]) -> int:
    """How many of so many sessions at once begin."""
    streams = [ProcessStream(words, b"") for _ in range(AT_ONCE)]
    try:
        return sum(stream.skip_past(BEGIN, _PATIENCE) for stream in streams)
    finally:
        for stream in streams:
            stream.kill()
