"""What hosts last said, kept on this laptop: a convenience that may be lost, wrong or forbidden without any harm."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from orch import answers, files, paths
from orch.errors import OrchError
from orch.model import Host, HostStatus, is_live, is_meant
from orch_agent import wire
from orch_agent.model import JobRef, JobView

_KEPT = ("jobs", "packed", "host")


def save(told: HostStatus, as_asked: bool = True) -> None:
    """Remember how a host was; ``as_asked``: as it said."""
    said = {"jobs": list(wire.packed(told.jobs)), "packed": True, "host": told.facts}
    keep(told.host, said, told.as_of, as_asked)


def keep(host: Host, said: Mapping[str, Any], as_of: float | None, as_asked: bool = True) -> None:
    """Remember an answer as it came; a reader sees the old one or the new one, whole."""
    kept = {key: said[key] for key in _KEPT if key in said}
    text = json.dumps({"as_of": as_of, "as_asked": as_asked, **kept})
    files.keep(paths.status_cache(host.name), text)


def add(host: Host, job: JobView) -> None:
    """Remember a job that ``host`` has just taken. The rest stays as old as it was.

    An earlier run of its name that was live is so no more; how it ended is not known here.
    """
    kept = load(host) or HostStatus(host, [], {}, time.time())
    jobs = [*(one for one in kept.jobs if not _gives_way(one, job)), job]
    save(kept._replace(jobs=jobs), as_asked=kept.kept and not is_live(job))


def _gives_way(one: JobView, to: JobView) -> bool:
    if not is_meant(one, JobRef(to["name"], None)):
        return False
    return bool(one["run"] == to["run"] or (one["run"] < to["run"] and is_live(one)))


def is_known(name: str) -> bool:
    """Whether a host of that name has ever told of its jobs."""
    return os.path.exists(paths.status_cache(name))


def forget(host: Host) -> None:
    """There is no such host any more."""
    files.remove(paths.status_cache(host.name))


def load(host: Host) -> HostStatus | None:
    """The last answer of ``host``, or None where there is none that can be read.

    ``kept`` says whether that is all that is known; else a job was submitted since.
    """
    try:
        with open(paths.status_cache(host.name), encoding="ascii") as file:
            kept = json.load(file)
        told = answers.checked(host.name, {key: kept[key] for key in _KEPT if key in kept})
        return HostStatus(host, told["jobs"], told["host"], _time(kept["as_of"]), kept=kept.get("as_asked") is True)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OrchError):
        return None


def names() -> list[str]:
    """The names of jobs on any host, as last seen; for completion, which must not wake anybody."""
    try:
        found = sorted(os.listdir(paths.status_caches()))
    except OSError:
        return []
    hosts = [Host(file.removesuffix(".json"), "") for file in found if file.endswith(".json")]
    told = [kept for kept in map(load, hosts) if kept]
    return sorted({str(job["name"]) for kept in told for job in kept.jobs})


def _time(said: Any) -> float:
    if not answers.is_measure(said):
        raise ValueError("not a time")
    return float(said)
