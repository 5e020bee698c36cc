"""The codespace that a command needs: the one that is there, or one that is made or enlarged after asking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orch.ops import codespaces
from orch.providers.codespaces.choice import NotOffered
from orch.providers.codespaces.space import Space

from ..args import Arguments
from ..asking import again, agreed
from ..output import note, size
from ..progress import Progress


def meant(args: Arguments) -> Space:
    """The one that a command line names, as a word or by ``-c``; where it names none, the one that there is."""
    return codespaces.one((args.words or [args["codespace"]])[0])


def made(repository: str, branch: str | None, name: str | None, mem: int | None, is_agreed: bool) -> Space | None:
    """A new codespace, its machine by ``name`` or ``mem``, after asking; None where the person says no."""
    from orch.providers.codespaces.prices import machine_hour

    with _told_as_typed():
        machine = codespaces.machine_for(repository, name, mem)
    costs = f"{machine_hour(machine):.2f} USD an hour while it is awake"
    note(f"{repository}: {machine.short}, {machine.storage >> 30} GB of disk, {costs}")
    if not is_agreed and not agreed(f"Make a codespace for {repository}?", again({"--yes": ""})):
        return None
    with Progress() as progress:
        return codespaces.make(repository, branch, machine, progress.tell)


def fit(space: Space, machine: str | None, mem: int | None, is_agreed: bool) -> Space | None:
    """``space``, enlarged where it is too small and the person agrees; None where it should be, and is not."""
    from orch.providers.codespaces.prices import machine_hour

    with _told_as_typed():
        chosen = codespaces.larger(space, machine, mem)
    if chosen is None:
        return space
    is_now = space.machine.short if space.machine else "of an unknown size"
    why = f", and the job asks for {size(mem)} of memory" if mem and machine is None else ""
    before = f" in place of {machine_hour(space.machine):.2f}" if space.machine else ""
    note(f"{space.name} is {is_now}{why}; {chosen.short} costs {machine_hour(chosen):.2f} USD an hour{before}")
    if not is_agreed and not agreed(f"Make it {chosen.short}? It is restarted for that.", again({"--yes": ""})):
        return None
    with Progress() as progress:
        codespaces.enlarge(space, chosen, progress.tell)
    return space


@contextmanager
def _told_as_typed() -> Iterator[None]:
    """What is not offered: the command to type is the one that was typed, with what is offered."""
    try:
        yield
    except NotOffered as refusal:
        if refusal.instead:
            refusal.hint = again(refusal.instead)
        raise
