"""How to put a job's terminal on this one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from orch.remote import Remote
from orch_agent.model import JobView

from .hosts import Hosts


class Viewing(NamedTuple):
    """A program that shows a job, and the environment for it. ``switches``: it ends at once, another shows the job."""

    remote: Remote
    job: JobView
    argv: list[str]
    env: dict[str, str]
    switches: bool


def attach(hosts: Hosts, ref: str, host: str | None = None) -> Viewing:
    """What to run to see the job's terminal; leaving it leaves the job alone."""
    remote = hosts.of_job(ref, host)
    answer = remote.call("attach", {"job": ref})
    argv: list[str] = answer["argv"]
    if remote.transport.here and "TMUX" in os.environ and is_same_server(argv, os.environ):
        return Viewing(remote, answer["job"], switching(argv), dict(os.environ), True)
    # Without TMUX, tmux speaks to the server that the agent spoke to, and does not mind being inside of another one.
    outside = {key: value for key, value in os.environ.items() if key != "TMUX"}
    return Viewing(remote, answer["job"], remote.transport.on_terminal(argv), outside, False)


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
