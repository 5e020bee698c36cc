"""What is made of ssh's words, where no machine is needed for it."""

from __future__ import annotations

import shlex

import pytest

from orch.model import Host
from orch.ssh.trouble import Failure, InTheWay, explain

CHANGED = "REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.\n"
UNKNOWN = "No ED25519 host key is known for nowhere.invalid and you have requested strict checking.\n"


def explained(said: str) -> InTheWay:
    error = explain(Failure(Host("box", "ssh"), "me@nowhere.invalid", ["-F", "none"], said))
    assert isinstance(error, InTheWay)
    return error


@pytest.mark.parametrize(
    "said", [UNKNOWN, "me@box: Permission denied (publickey,password).", "me@box: Permission denied (publickey)."]
)
def test_the_next_command_can_be_pasted_as_it_stands(said: str) -> None:
    command = explained(said).hint.splitlines()[0]
    assert "    # " in command and not set(";&|()<>") & set(command.partition(" # ")[0])
    assert shlex.split(command, comments=True)[:3] in (["orch", "ssh", "box"], ["cat", "~/.ssh/*.pub"])


def test_doctor_does_not_advise_to_take_a_changed_key_just_so(home: object) -> None:
    mend = explained(CHANGED).check.mend
    assert "only if you know why; then: orch ssh box" in mend
    forget = shlex.split(mend, comments=True)
    assert forget[0] == "ssh-keygen" and forget[-2:] == ["-R", "nowhere.invalid"]
