"""``cs doctor``: is a codespace as jobs need it, and the way there."""

from __future__ import annotations

from collections.abc import Sequence

from orch.ops import codespaces, hosts
from orch.providers.codespaces.space import Space

from .. import doctor
from ..args import Arguments

COMMAND = doctor.COMMAND._replace(
    words="[CODESPACE]",
    text="""\
Looks at one codespace, or at every one that runs; none is started for it. Below each thing that is not as it should be
stands the command that mends it, to be typed here. The exit status is 1 where something has failed; a warning is no
failure.""",
)


def main(args: Arguments) -> int:
    """Look, at the one or at all that run."""
    return doctor.at(args, lambda: list(map(hosts.connect, codespaces.hosts_of(_meant(args.words)))))


def _meant(names: Sequence[str]) -> Sequence[Space]:
    if names:
        return [codespaces.called(name) for name in names]
    return [space for space in codespaces.refresh(0.0) if not space.off]
