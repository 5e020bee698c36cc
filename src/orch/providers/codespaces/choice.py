"""Which type of machine a codespace is to have.

Invariants
- Pure: from what GitHub offers a repository to one of it; what is not offered is refused with what is.
- Sizes are in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orch.errors import OrchError, nearest

from .space import Machine, Space

CORES = {"standard": 4, "heavy": 8, "xheavy": 16}
STANDARD = "standard"
_DISK = 64 << 30  # bytes of disk that a codespace is to have, where that costs no larger machine
_RESERVE = 3 << 29  # bytes, 1.5 GB, that the system, an editor's server and orch itself take of a machine's memory


class NotOffered(OrchError):
    """``instead``: the option, and its value, that is offered and comes nearest; empty where nothing is."""

    def __init__(self, message: str, instead: Mapping[str, str]) -> None:
        hint = " ".join(word for option in instead.items() for word in option)
        super().__init__("refused", message, hint or "gh codespace create    # says why")
        self.instead = instead


def chosen(offered: Sequence[Machine], wanted: str | None = None, mem: int | None = None) -> Machine:
    """The machine called ``wanted``, by our name or GitHub's; else the smallest for ``mem`` and standard at least."""
    if not wanted:
        return _large_enough(offered, mem or 0)
    machine = _named(offered, wanted, mem or 0)
    if mem and _room(machine) < mem:
        says = f"{machine.name} ({machine.short}) has no room for {mem / 2**30:.3g}G"
        raise _not_offered(says, offered, machine.cpus, mem)
    return machine


def too_small(space: Space, mem: int | None) -> bool:
    """Whether a job that needs ``mem`` could not run there if it were alone."""
    return mem is not None and space.machine is not None and _room(space.machine) < mem


def _named(offered: Sequence[Machine], wanted: str, mem: int) -> Machine:
    cores = CORES.get(wanted)
    found = [one for one in offered if (one.cpus == cores if cores else one.name == wanted)]
    if found:
        return min(found, key=_size)
    if cores:
        says = f"{wanted} is a machine with {cores} cores, and GitHub does not offer one here"
        raise _not_offered(says, offered, cores, mem)
    ours = [name for name, cores in CORES.items() if any(one.cpus == cores for one in offered)]
    guess = nearest(wanted, [*ours, *(one.name for one in offered)])
    says = f"{wanted!r} is a type of machine that GitHub does not offer here"
    raise _not_offered(says, offered, CORES[STANDARD], mem, guess)


def _large_enough(offered: Sequence[Machine], mem: int) -> Machine:
    holds = [one for one in offered if one.cpus >= CORES[STANDARD] and _room(one) >= mem]
    if holds:
        return min(holds, key=_size)
    raise _not_offered(f"no machine that GitHub offers here has {_what(mem)}", offered, CORES[STANDARD], mem)


def _what(mem: int) -> str:
    if not mem:
        return f"{CORES[STANDARD]} cores or more"
    return f"{CORES[STANDARD]} cores and room for {mem / 2**30:.3g}G beside the system's {_RESERVE / 2**30:.3g}G"


def _room(machine: Machine) -> int:
    return machine.memory - _RESERVE


def _size(machine: Machine) -> tuple[int, int, bool, int]:
    """Of machines that are alike otherwise, the smallest disk that is large enough goes before those that are not."""
    return machine.cpus, machine.memory, machine.storage < _DISK, machine.storage


def _not_offered(says: str, offered: Sequence[Machine], cores: int, mem: int, guess: str = "") -> NotOffered:
    if not offered:
        return NotOffered(f"{says}: it offers none at all", {})
    names = ", ".join(f"{one.name} ({one.short})" for one in sorted(offered, key=_size))
    return NotOffered(f"{says}; it offers {names}", {"--machine": guess} if guess else _nearest(offered, cores, mem))


def _nearest(offered: Sequence[Machine], cores: int, mem: int) -> Mapping[str, str]:
    """The smallest machine that is large enough; else the largest; where a job has no room on any, what has."""
    holds = [one for one in offered if _room(one) >= mem]
    if not holds:
        largest = max(offered, key=_room)
        return {"--machine": largest.name, "--mem": f"{_room(largest) / 2**30:g}G"}
    enough = [one for one in holds if one.cpus >= cores]
    return {"--machine": (min(enough, key=_size) if enough else max(holds, key=_size)).name}
