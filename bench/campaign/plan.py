"""What a campaign will do, from its seed: which jobs, by which client, and which faults when. Pure.

Faults come after so many submissions, not after so many seconds: a slower machine meets the same ones.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

MB = 1 << 20
MEMORY = (None, 64 * MB, 256 * MB, 1024 * MB, 2048 * MB, 6144 * MB)
LOCAL = {
    "runner": 8,
    "supervisor": 5,
    "stopped supervisor": 2,
    "adopter": 2,
    "client": 5,
    "tmux": 2,
    "disk": 3,
    "all": 1,
}
"""Faults of a host that is this machine, and how often each comes beside the others."""
FAR = {**LOCAL, "sshd": 3, "cut": 3, "unplugged": 2, "laptop": 3, "reboot": 1}
"""Those of a host that ssh reaches."""


class Job(NamedTuple):
    """One submission. ``behaviour`` and ``flags`` are the job's own (see ``work``); ``options`` orch's.

    ``needs``: numbers of earlier jobs of the same client. ``then``: what the client does with it, ``after`` seconds
    after it was told; ``killed``: seconds after which each of its first tries to submit is killed; ``gives_up``: those
    are all.
    """

    number: int
    client: int
    name: str
    behaviour: str
    lines: int
    seconds: float
    flags: tuple[str, ...]
    tty: bool
    options: Mapping[str, Any]
    needs: tuple[int, ...]
    then: str
    after: float
    pause: float
    killed: tuple[float, ...]
    gives_up: bool


class Fault(NamedTuple):
    """Comes ``delay`` seconds after the ``after``-th submission; ``pick`` (0 to 1) chooses whom; lasts ``seconds``."""

    after: int
    delay: float
    kind: str
    pick: float
    seconds: float


class Plan(NamedTuple):
    """Everything that will be tried."""

    seed: int
    jobs: list[Job]
    faults: list[Fault]

    def key(self, job: Job) -> str:
        """The id that the client submits it under."""
        return f"s{self.seed}-{job.number}"


def make(seed: int, jobs: int, faults: int, clients: int = 4, kinds: Mapping[str, int] = LOCAL) -> Plan:
    """The plan of this seed."""
    dice = random.Random(f"{seed} jobs")
    made: list[Job] = []
    for number in range(jobs):
        made.append(
            _job(dice, number, number % clients, [job.number for job in made if job.client == number % clients])
        )
    dice = random.Random(f"{seed} faults")
    return Plan(seed, made, sorted(_fault(dice, jobs, kinds) for _ in range(faults)))


def _fault(dice: random.Random, jobs: int, kinds: Mapping[str, int]) -> Fault:
    (kind,) = dice.choices(list(kinds), list(kinds.values()))
    return Fault(dice.randrange(1, jobs + 1), dice.uniform(0, 0.6), kind, dice.random(), dice.uniform(0.3, 3.0))


KINDS = {
    "short": 26,
    "long": 10,
    "failing": 10,
    "suicidal": 4,
    "flaky": 12,
    "array": 5,
    "dependent": 12,
    "endless": 8,
    "cancelled": 9,
    "family": 4,
    "again": 8,
}


def _job(dice: random.Random, number: int, client: int, earlier: list[int]) -> Job:
    (kind,) = dice.choices(list(KINDS), list(KINDS.values()))
    options: dict[str, Any] = {"mem": dice.choice(MEMORY), "nice": dice.choice((0, 0, 0, 5, -5))}
    if dice.random() < 0.15:
        options["cpus"] = dice.choice((0.5, 1.0))
    name, behaviour = f"j{number}", "ok"
    flags: list[str] = []
    needs: tuple[int, ...] = ()
    lines, seconds = dice.randrange(1, 60), dice.uniform(0, 0.5)
    then = dice.choice(("leave", "leave", "leave", "wait", "follow"))
    if kind == "long":
        lines, seconds = dice.randrange(50, 800), dice.uniform(1.5, 5)
    elif kind == "failing":
        behaviour = f"exit:{dice.randrange(1, 120)}"
    elif kind == "suicidal":
        behaviour = f"kill:{dice.choice((9, 10, 14))}"
        flags += ["deaf"] if behaviour == "kill:9" else []
    elif kind == "flaky":
        behaviour = f"flaky:{dice.randrange(1, 4)}:{dice.randrange(1, 120)}"
        options.update(retries=dice.randrange(1, 5), retry_delay=dice.choice((0.0, 0.2, 0.5)))
    elif kind == "array":
        first, count = dice.randrange(0, 5), dice.randrange(3, 10)
        behaviour = f"bad:{first + 1},{first + 2}:9" if dice.random() < 0.5 else "ok"
        options.update(array=f"{first}-{first + count - 1}%{dice.randrange(1, 4)}", retries=dice.choice((0, 1)))
        options.update(retry_delay=0.2)
    elif kind == "dependent":
        needs = tuple(sorted(dice.sample(earlier[-6:], min(len(earlier[-6:]), dice.randrange(1, 3)))))
    elif kind == "endless":
        behaviour = "hang"
        options["timeout"] = dice.uniform(1.0, 3.0)
    elif kind == "cancelled":
        behaviour, then = "hang", "cancel"
        flags += ["deaf"] if dice.random() < 0.3 else []
    elif kind == "family":
        flags += ["family"]
    elif kind == "again":
        name, then = f"again{client}", "wait"
        options["mem"] = None  # learned from the runs before
    if kind in ("short", "long", "dependent", "family") and dice.random() < 0.35:
        options.update(retries=2, retry_delay=0.2)
    if kind in ("short", "long") and dice.random() < 0.15:
        options["timeout"] = 60.0  # never reached, and tells the queue when it ends
    killed = tuple(dice.uniform(0.01, 0.5) for _ in range(dice.choice((0, 0, 0, 0, 0, 1, 1, 2))))
    gives_up = bool(killed) and kind not in ("cancelled", "again") and dice.random() < 0.25
    return Job(
        number=number,
        client=client,
        name=name,
        behaviour=behaviour,
        lines=lines,
        seconds=seconds,
        flags=tuple(flags),
        tty=dice.random() < 0.6,
        options={key: value for key, value in options.items() if value not in (None, 0, 0.0) or key == "retry_delay"},
        needs=needs,
        then=then,
        after=dice.uniform(0, 2.5),
        pause=dice.uniform(0, 0.25),
        killed=killed,
        gives_up=gives_up,
    )


def tasks(array: str) -> tuple[list[int], int]:
    """The tasks of ``0-9%3``, and how many of them may run at once."""
    span, _, limit = array.partition("%")
    first, _, last = span.partition("-")
    return list(range(int(first), int(last) + 1)), int(limit)
