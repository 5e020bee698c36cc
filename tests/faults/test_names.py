"""A name means the run that it meant when it was typed, whatever starts under it while the link is cut."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.agent import eventually
from tests.support.laptop import Laptop
from tests.support.machine import Machine

Laptops = Callable[..., Laptop]


def there(machine: Machine, verb: str, request: dict[str, Any]) -> Any:
    """Ask the machine's agent by another way than the laptop's."""
    said = shlex.quote(json.dumps(request))
    done = machine.run(f'a=$(echo ~/.orch/agent-*); printf %s {said} | "$a/python" -I -S "$a" {verb}')
    return json.loads(done.stdout)


def runs_anew(machine: Machine, command: str) -> None:
    """The first run of ``train`` ends, and somebody else starts the second."""
    there(machine, "cancel", {"jobs": ["train.1"], "grace": 0})
    job = there(machine, "submit", {"id": "second", "spec": {"name": "train", "command": command, "cwd": "/"}})["job"]
    assert job["run"] == 2


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [(["wait"], "train.1 CANCELLED\n", 143), (["cancel", "--grace", "60"], "train.1 CANCELLED\n", 0)],
)
def test_what_goes_on_after_a_cut_means_the_same_run(
    machine: Machine, laptop: Laptops, words: list[str], said: str, status: int
) -> None:
    mine = laptop(machine)
    assert mine("run", "train", "trap '' TERM; echo ready; while :; do sleep 0.1; done").status == 0
    eventually(lambda: "ready" in mine("logs", "train").out, "the job minds no TERM")
    with mine.popen(words[0], "train", *words[1:]) as asked:
        eventually(lambda: any(words[0] in argv for _, argv in machine.processes()), "the host was asked")
        machine.stop_sshd()
        runs_anew(machine, "sleep 1000")
        machine.start_sshd()
        out, err = asked.communicate(timeout=60)
    assert (out.decode(), asked.returncode) == (said, status), err
    assert [job["state"] for job in there(machine, "status", {"names": ["train.2"]})["jobs"]] == ["RUNNING"]
