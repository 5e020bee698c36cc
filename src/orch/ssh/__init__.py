"""Any machine that the system's own OpenSSH reaches, as a transport.

Keys, agents, jump hosts and aliases work because ssh works; there is no other SSH here. Only the connection is made
with the person's ssh configuration: what goes through it reads none, so that it is the same on every laptop.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from orch.errors import OrchError
from orch.model import Host
from orch.transport import LOST, Completed, LinkDown, LinkLost, Stream, no_answer
from orch.wires import LOOPBACK, Wire

from .connection import Connection, ConnectionFailed, Late, Session
from .door import Door
from .mux import Forward, MuxStream

T = TypeVar("T")
BEGIN = b"\n=orch=\n"
"""Said by the host before anything of ours: what comes earlier was printed by a start-up file."""
START = 30.0  # seconds that the host's shell may take to begin
_DIALS = 20.0  # seconds: a link that is dead is noticed before
_MOST_CROWDED = 10  # lanes that have no room; on a server that allows no session at all, none ever has
_CROWDED = b"refused by peer"  # ssh's word for a connection with as many sessions as the server allows
_PLAIN = re.compile(r"[A-Za-z0-9_=/.:@%+,-]+")


class SshTransport:
    """One host; ``options`` are words of ssh's command line, ``variables`` are set there for whatever is run."""

    here = False

    def __init__(
        self,
        host: Host,
        address: str,
        options: Sequence[str],
        variables: Mapping[str, str] = {},
        persist: str = "10m",
        door: Door | None = None,
        counts_visits: bool = False,
    ) -> None:
        self.host = host
        self.connection = Connection(address, options, persist, door)
        self.home_setting = f'orch_home = "DIR" under [hosts.{host.name}]'
        self.counts_visits = counts_visits
        self._setting = "".join(f'{name}="{value}"; export {name}; ' for name, value in variables.items())
        self._terminal: Session | None = None

    def is_open(self) -> bool:
        """Whether there is a lane."""
        return self.connection.is_open()

    def is_shut(self) -> bool:
        """Whether there is no way in, as far as is known."""
        return self.connection.door.is_shut()

    def run(self, script: str, stdin: bytes, timeout: float | None = None) -> Completed:
        """Run ``script`` by the host's ``sh`` to its end."""
        until = None if timeout is None else time.monotonic() + timeout

        def attempt(session: Session) -> Completed:
            done = self._begun(session, script, stdin, until, ends=True).finish(_left(until))
            if done.status == LOST:
                raise _Unfinished(done)
            return done

        return self._through_a_lane(attempt, until)

    def open(self, script: str, stdin: bytes, timeout: float | None = None) -> Stream:
        """Start ``script``; comes back when it has begun."""
        until = None if timeout is None else time.monotonic() + timeout
        return self._through_a_lane(lambda session: self._begun(session, script, stdin, until), until)

    def _begun(self, session: Session, script: str, stdin: bytes, until: float | None, ends: bool = False) -> _Stream:
        """``script`` in this session, which has begun: what its shell's start-up files print is behind us.

        ``ends``: nothing comes behind ``stdin``. So another shell that begins in its place ends, too.
        """
        stream = _Stream(session, self.command(script), stdin)
        if ends:
            stream.end_input()
        try:
            if stream.skip_past(BEGIN, min(START, _left(until) or START)):
                return stream
        except LinkLost:
            stream.kill()
            if until is not None and time.monotonic() >= until:
                raise
            raise self._no_beginning(f"within {START:.0f} s", b"") from None
        except OverflowError:
            stream.kill()
            says = f"{self.host.name} prints without an end before it does what it is asked to"
            raise OrchError("host", says, f"look at ~/.bashrc there: orch doctor {self.host.name}") from None
        raise _Unfinished(stream.finish(_left(until)))

    def on_terminal(self, argv: Sequence[str]) -> list[str]:
        """An ssh in front of this terminal; its place in the lane is kept until the next one is asked for."""
        assert all(map(_PLAIN.fullmatch, argv))  # the agent's own words: nothing that a shell would change
        session = self._keep(self._through_a_lane(lambda session: session))
        return [*session.words("-t"), self.host.name, f"exec sh -c '{self._setting}exec {' '.join(argv)}'"]

    def dial(self, port: int) -> Wire | None:
        """A connection through a lane, of which it takes no place."""
        for address in LOOPBACK:
            wire = self._through_a_lane(partial(self._dialled, address, port))
            if wire.is_open:
                return wire
            wire.close()
        return None

    def _dialled(self, address: str, port: int, session: Session) -> Forward:
        try:
            return Forward(session.socket, address, port, _DIALS)
        except TimeoutError:
            raise no_answer(_DIALS) from None
        except OSError:
            raise _Unfinished(Completed(LOST, b"", b"")) from None
        finally:
            session.release()

    def login(self, command: str | None, terminal: bool, asks: bool) -> list[str]:
        """The person's own ssh, through a lane; where there is none yet, ssh may ask for what it needs to make it."""
        session = self._keep(self._take(None, (), asks))
        words = ["ssh", *self.connection.login, "-S", session.socket, "-t" if terminal else "-T"]
        if command is None:
            return [*words, "--", self.connection.address]
        return [*words, "-o", "RemoteCommand=none", "--", self.connection.address, command]

    def _keep(self, session: Session) -> Session:
        if self._terminal is not None:
            self._terminal.release()
        self._terminal = session
        return session

    def words(self, session: Session, script: str) -> list[str]:
        """The command line of an ssh that runs ``script`` in this session."""
        return [*session.words("-T"), self.host.name, self.command(script)]

    def command(self, script: str) -> str:
        """What the host's login shell is told: to run ``script``, which says ``BEGIN`` first."""
        assert not set(script) & set("'\\\n!")  # any login shell hands it on as it is
        said = BEGIN.decode().strip()
        return f"exec sh -c 'echo; echo {said}; {self._setting}{script}'"

    def _through_a_lane(self, attempt: Callable[[Session], T], until: float | None = None) -> T:
        """What ``attempt`` brings back, on a lane that is not crowded; one that turns out to be dead is made anew."""
        crowded: list[str] = []
        remade: set[str] = set()
        while True:
            session = self._take(until, crowded)
            try:
                return attempt(session)
            except _Unfinished as failure:
                if failure.is_crowded and len(crowded) < _MOST_CROWDED:
                    crowded.append(session.socket)
                elif failure.is_lost and not failure.is_crowded and session.socket not in remade:
                    self._remake(session, until)
                    remade.add(session.socket)
                else:
                    raise self._error(failure) from None

    def _take(self, until: float | None, crowded: Sequence[str], asks: bool = False) -> Session:
        try:
            return self.connection.take(until, crowded, asks)
        except Late as late:
            raise self._late(late) from None
        except ConnectionFailed as failure:
            raise self._told_already() if asks else self.explained(failure) from None

    def _told_already(self) -> OrchError:
        """For whoever was in front of ssh when it failed."""
        says = f"no connection to {self.host.name} ({self.connection.address}), as ssh says above"
        return LinkDown(says, f"orch doctor {self.host.name}")

    def _remake(self, session: Session, until: float | None) -> None:
        """Make the lane anew if it is dead. What went through it before may have arrived, or not."""
        try:
            self.connection.connect(session.socket, until)
        except Late as late:
            raise LinkLost(self._late(late).message, f"orch doctor {self.host.name}") from None
        except LinkDown as down:
            raise LinkLost(down.message, down.hint) from None
        except ConnectionFailed as failure:
            error = self.explained(failure)
            raise (LinkLost(error.message, error.hint) if isinstance(error, LinkDown) else error) from None

    def _late(self, late: Late) -> LinkDown:
        says = f"{self.host.name} ({self.connection.address}) {late.message}"
        return LinkDown(says, f"orch doctor {self.host.name}")

    def explained(self, failure: ConnectionFailed) -> OrchError:
        """What it means that there is no connection."""
        from .trouble import Failure, explain

        meant = self.connection.door.meaning(failure.said)
        return meant or explain(Failure(self.host, self.connection.address, self.connection.options, failure.said))

    def _error(self, failure: _Unfinished) -> OrchError:
        name = self.host.name
        if failure.is_crowded:
            return OrchError("host", f"{name} allows no session on its connections", f"orch doctor {name}")
        if failure.is_lost:
            return LinkLost(f"the connection to {name} broke, twice", f"orch doctor {name}")
        return self._no_beginning(f"(status {failure.done.status})", failure.done.out + b"\n" + failure.done.err)

    def _no_beginning(self, how: str, output: bytes) -> OrchError:
        said = output.decode(errors="replace").strip().splitlines()
        return OrchError(
            "host",
            f"{self.host.name} did not run what it was asked to {how}" + (f": {said[-1][:300]}" if said else ""),
            f"does a start-up file there, ~/.bashrc perhaps, begin another shell? orch doctor {self.host.name}",
        )


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.1, until - time.monotonic())


class _Unfinished(Exception):
    """A session that ended before its script did, or before that began."""

    def __init__(self, done: Completed) -> None:
        super().__init__()
        self.done = done

    @property
    def is_lost(self) -> bool:
        return self.done.status == LOST

    @property
    def is_crowded(self) -> bool:
        return self.is_lost and _CROWDED in self.done.err


class _Stream(MuxStream):
    """A session that gives back its place in the lane at its end."""

    def __init__(self, session: Session, command: str, stdin: bytes) -> None:
        self._session = session
        super().__init__(session.socket, command, stdin)

    def kill(self) -> None:
        super().kill()
        self._session.release()
