"""Small questions to one job: what is known of it, and a line typed into its terminal."""

from __future__ import annotations

from typing import Any

from orch.errors import usage
from orch.model import new_id
from orch.remote import Remote
from orch_agent import wire
from orch_agent.model import JobRef, JobSpec, JobView

from .hosts import Hosts, heard, runs_of


def show(hosts: Hosts, ref: str, host: str | None = None) -> dict[str, Any]:
    """Everything known of one run. Of its environment only the names: the values may be anybody's secret."""
    remote = hosts.of_job(ref, host)
    answer = remote.call("show", {"job": ref})
    heard(remote, [answer["job"]])
    spec: dict[str, Any] = answer["spec"]
    known = ("job", "why", "autopsy", "attempts", "usage_curve", "log_tail", "log_size_bytes", "log_lost_bytes")
    following = answer.get("next") or {}
    return {
        **{key: answer.get(key) for key in known},
        **({"remarks": answer["remarks"]} if "remarks" in answer else {}),
        "next": remote.typed(following["command"]) if following.get("there") else following.get("command"),
        "tty": spec.get("tty", True),
        "keep_children": spec.get("keep_children", False),
        "env": sorted(spec.get("env") or {}),
        "secrets": dict(spec.get("secrets") or {}),
    }


def spec_of(remote: Remote, ref: str) -> JobSpec:
    """What a run was told to do, complete, so that it can be told again: NAME an array whole, NAME.n one task of it."""
    wanted = JobRef.parse(ref)
    if wanted.last is not None:
        runs = f"orch rerun {wanted.name}, or orch rerun {wanted.name}.{wanted.run}"
        raise usage(f"{ref} is several runs; what runs again is a whole array, or one run", runs)
    answer = remote.call("show", {"job": ref, "first": True})
    spec, task = wire.spec_from(answer["spec"]), answer["job"]["array_task"]
    return spec if task is None or JobRef.parse(ref).run is None else spec._replace(array=str(task))


def send(hosts: Hosts, ref: str, text: str, host: str | None = None) -> JobView:
    """Type ``text`` and Enter into the job's terminal; once, also where the request had to be repeated."""
    remote = hosts.of_job(ref, host)
    request = {"job": runs_of(remote, [ref])[0], "text": text, "id": new_id()}
    job: JobView = remote.call("send", request)["job"]
    return job
