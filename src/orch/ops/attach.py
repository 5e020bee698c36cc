"""How to put a job's terminal on this one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from orch.model import label
from orch.remote import Remote
from orch.transport import LinkLost
from orch_agent.model import JobView

from .hosts import Hosts
from .patience import Patience, Tell


class Viewing(NamedTuple):
    """A program that shows a job, and the environment for it. ``switches``: it ends at once, another shows the job."""

    remote: Remote
    job: JobView
    argv: list[str]
    env: dict[str, str]
    switches: bool


def attach(hosts: Hosts, ref: str, host: str | None = None) -> Viewing:
    """What to run to see the job's terminal; leaving it leaves the job alone."""
    return view(hosts.of_job(ref, host), ref)


def again(viewing: Viewing, tell: Tell) -> Viewing:
    """The same once more after its link was lost, which the person was told, as soon as there is one."""
    ref = label(viewing.job)
    lost = LinkLost(f"the connection to {viewing.remote.host.name} broke")
    return Patience(viewing.remote.host.name, tell, told=True).again(partial(view, viewing.remote, ref), lost)


def view(remote: Remote, ref: str) -> Viewing:
    """The same for a job whose host is known."""
    answer = remote.call("attach", {"job": ref, "term": os.environ.get("TERM", ""), "utf8": _speaks_utf8()})
    argv = remote.words(answer, "argv")
    if remote.transport.here and "TMUX" in os.environ and is_same_server(argv, os.environ):
        return Viewing(remote, answer["job"], switching(argv), dict(os.environ), True)
    # Without TMUX, tmux speaks to the server that the agent spoke to, and does not mind being inside of another one.
    outside = {key: value for key, value in os.environ.items() if key != "TMUX"}
    return Viewing(remote, answer["job"], remote.transport.on_terminal(argv), outside, False)


def _speaks_utf8() -> bool:
    """Whether this terminal does, by the usual variables."""
    said = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    return "utf" in said.lower()


def is_same_server(argv: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether ``argv``, run outside of tmux, speaks to the server that this terminal is inside of."""
    options = dict(pairwise(argv))
    directory = os.path.join(env.get("TMUX_TMPDIR") or "/tmp", f"tmux-{os.getuid()}")  # noqa: S108
    theirs = options.get("-S") or os.path.join(directory, options.get("-L", "default"))
    ours = env["TMUX"].split(",")[0]
    return os.path.realpath(theirs) == os.path.realpath(ours)


def switching(argv: Sequence[str]) -> list[str]:
    """The same view in the client we are in: a session inside itself would be a hall of mirrors."""
    verb = next(place for place, word in enumerate(argv) if word.startswith("attach"))
    return [*argv[:verb], "switch-client", *argv[verb + 1 :]]
