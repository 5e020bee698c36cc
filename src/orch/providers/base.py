"""What a provider promises.

A provider says how a host comes to be, is started, stopped, priced and reached; it knows nothing of jobs.

- Every call may be repeated: asking for what already is, is no error and changes nothing.
- A provider does not retry and does not print. What may succeed on another day (the network, a service that is
  down) is an ``OrchError`` of kind ``host``; what never will is a ``ConfigError``.
- ``transport`` costs nothing: it contacts nobody, so that hosts which are not asked for are never woken.
- Providers do not import one another, and heavy libraries only inside the calls that need them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

from orch.errors import OrchError
from orch.model import Check, Host
from orch.transport import LinkDown, Off, Transport
from orch_agent.model import JobRef


class Provider(Protocol):
    """Where a host is."""

    options: Mapping[str, type]
    """The keys it takes in ``[hosts.NAME]`` besides ``provider``, with the type of each."""

    def transport(self, host: Host) -> Transport:
        """The way to ``host``, whose options have been checked against ``options``."""

    def checks(self, host: Host) -> list[Check]:
        """For ``orch doctor``: what can be said of the way to ``host``. One that failed says that there is none."""


_PAUSE = 1.0  # seconds between two attempts to reach a machine
Tell = Callable[[str, str], None]
"""Told what is being done to which thing: ``machine``, ``starting``."""


def reached(ask: Callable[[], object], name: str, patience: float, tell: Tell) -> None:
    """Come back when ``ask`` succeeds, which asks a machine that may be just starting; else its last error.

    ``name``: what is told to connect. ``patience`` in seconds.
    """
    until = time.monotonic() + patience
    tell(name, "connecting")
    while True:
        try:
            ask()
        except (LinkDown, Off) as error:
            if time.monotonic() > until:
                raise
            tell(name, f"not yet: {error.message[:100]}")
            time.sleep(_PAUSE)
        else:
            tell(name, "answers")
            return


@contextmanager
def under_way(what: str) -> Iterator[None]:
    """Inside, something is waited for that goes on by itself: what goes wrong now says nothing against that."""
    try:
        yield
    except OrchError as error:
        if error.kind == "host" or isinstance(error, Off):
            raise
        says = f"{what}, and whether that is done is not known: {error.message}"
        raise OrchError("host", says, error.hint) from None


class Plan(NamedTuple):
    """What ``up`` would do. ``misses`` stand in its way; without ``facts`` there is nothing to do; ``notes`` are told
    besides. ``interrupts``: no job on the host would live through it. ``document``: what is handed to the cloud, for a
    dry run.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    misses: Sequence[Check] = ()
    notes: Sequence[str] = ()
    interrupts: bool = False
    document: str = ""
    todo: Any = None
    """The provider's own."""


@runtime_checkable
class Startable(Protocol):
    """A provider, perhaps, whose hosts can be started, stopped and deleted, and are paid for.

    A host stops by itself, without this laptop. ``tell`` hears of every step before it is taken. An error of another
    kind than ``host`` says that the step was denied; what goes wrong while it is waited for is of kind ``host``.
    """

    def usd_per_hour(self, host: Host, state: str) -> float | None:
        """What ``host`` costs in that state, as far as this laptop knows; asks nobody."""

    def must_run(self, host: Host) -> None:
        """An ``Off`` where it does not run, as its maker tells now, whatever the host itself says."""

    def start(self, host: Host, tell: Tell) -> None:
        """See to it that it runs."""

    def stop(self, host: Host, tell: Tell) -> None:
        """See to it that it is stopped. Its disk stays."""

    def loss(self, host: Host) -> Sequence[tuple[str, str]]:
        """What is deleted with the host; nothing where there is no host."""

    def down(self, host: Host, snapshot: bool, tell: Tell) -> None:
        """Delete all that it made, and nothing else; ``snapshot``: of the disk a copy stays."""


@runtime_checkable
class Cloud(Startable, Protocol):
    """A provider, perhaps, that makes the hosts that the configuration describes.

    What was begun goes on when nobody watches any more; the next ``plan`` finds it, and goes on from there.
    """

    def plan(self, host: Host, tell: Tell, move: bool = False) -> Plan:
        """What there is to do until ``host`` is as configured; waits for what is under way already."""

    def carry_out(self, host: Host, plan: Plan, tell: Tell, keep_failed: bool = False) -> None:
        """Do it; returns when the machine is set up and runs."""

    def settling(self, host: Host, plan: Plan) -> str:
        """A script for the machine's shell, once it can be reached: what is said to the machine itself."""

    def former(self, host: Host) -> Sequence[str]:
        """What a move has left behind, by name."""

    def leave(self, host: Host, tell: Tell) -> None:
        """Delete what a move has left behind: the machine that was the host before."""


@runtime_checkable
class Minded(Protocol):
    """A provider, perhaps, whose hosts have to be told what it knows of them."""

    def settings(self, host: Host) -> Mapping[str, float]:
        """What goes with every submission, and is kept on the host."""


class SecretStore(Protocol):
    """Where the secrets of one host are kept. Values leave it by ``values`` alone, and are in no error and no file."""

    where: str
    """What a person calls it: ``the keychain of this machine``."""

    most: int
    """Bytes of a value."""

    travels: bool
    """Whether values go to the host with a submission; otherwise it reads them by itself when a job starts."""

    def names(self) -> Sequence[str]:
        """What is kept, in order."""

    def put(self, name: str, value: str) -> None:
        """Keep a value under this name, in place of what was kept before."""

    def remove(self, name: str) -> None:
        """Forget it; an error of kind ``not_found`` where it is not kept."""

    def values(self, names: Sequence[str]) -> Mapping[str, str]:
        """What is kept of these."""


@runtime_checkable
class Secretive(Protocol):
    """A provider, perhaps, for whose hosts orch keeps secrets."""

    def secrets(self, host: Host) -> SecretStore:
        """Where those for ``host`` are; contacts nobody yet."""


@runtime_checkable
class Keeper(Protocol):
    """A provider, perhaps, that keeps the deploy keys of its hosts, so that a machine made anew has them again.

    This laptop never reads one: their public halves are told beside them.
    """

    def keys(self, host: Host) -> Sequence[tuple[str, str]]:
        """Of each key the address of its repository, and its public half."""

    def forget_key(self, host: Host, key: str) -> None:
        """Delete the key of that name, if there is one."""


class Run(NamedTuple):
    """A run of which an archive knows. ``ended``: its end as the host told it, as a job in JSON has it, if it did."""

    name: str
    run: int
    ended: Mapping[str, object] | None
    stream: str
    """What the archive calls its log; empty where it wrote nothing."""

    tty: bool = True
    """Whether it had a terminal, which makes two characters of every newline."""


class Stop(NamedTuple):
    """That a host has stopped: when, in epoch seconds, and why."""

    at: float
    why: str


class Archive(Protocol):
    """What is left of a host's jobs while it does not run."""

    where: str
    """What a person calls it: ``CloudWatch``."""

    def find(self, ref: JobRef) -> Run | None:
        """The run that is meant: of a name the newest."""

    def lines(self, run: Run, since: float | None = None, tail: int | None = None) -> Iterator[bytes]:
        """Its log, each line with its newline; ``since`` in epoch seconds, ``tail`` the last so many lines."""

    def stops(self) -> Stop | None:
        """When and why it last stopped by itself."""


@runtime_checkable
class Archived(Protocol):
    """A provider, perhaps, whose hosts leave logs behind."""

    def archive(self, host: Host) -> Archive | None:
        """The archive of ``host``; None where it has none."""
