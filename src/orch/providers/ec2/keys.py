"""Keys that never touch this laptop's disk: made, or fetched, in memory, and held by an ssh-agent of our own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from orch.errors import OrchError
from orch.ssh.connection import Late, directory

_LIFE = 60  # seconds that a key is in the agent
_AGENT = f'echo "$SSH_AGENT_PID"; exec sleep {_LIFE + 15}'
"""What the agent lives for: it ends by itself soon after."""


def make() -> tuple[str, str]:
    """A new ed25519 key: the private half as OpenSSH writes it, and the public one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return private.decode(), key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@contextmanager
def held(private: str) -> Iterator[str]:
    """The socket of an agent that holds this key and no other; it is gone afterwards, and in a minute in any case.

    Whoever gives up waiting while ssh tries on, ``Late``, leaves it to ssh for that minute.
    """
    socket = os.path.join(directory(), f"key.{os.urandom(6).hex()}")
    agent, pid = _started(socket)
    keep = False
    try:
        _add(private, socket)
        yield socket
    except Late:
        keep = True
        raise
    finally:
        if not keep:
            agent.kill()
            _end(pid, socket)
            agent.wait()


def _started(socket: str) -> tuple[subprocess.Popen[str], int]:
    words = ["ssh-agent", "-a", socket, "sh", "-c", _AGENT]
    try:
        agent = subprocess.Popen(words, stdin=-3, stdout=-1, stderr=-3, text=True, start_new_session=True)
    except OSError as error:
        raise OrchError("host", f"cannot start ssh-agent: {error.strerror}", "install OpenSSH's client") from None
    assert agent.stdout is not None  # it was asked for
    with agent.stdout as said:
        line = said.readline().strip()
    if not line.isdigit():
        raise OrchError("host", "ssh-agent did not start", f"ls -ld {os.path.dirname(socket)}")
    return agent, int(line)


def _add(private: str, socket: str) -> None:
    words = ["ssh-add", "-q", "-t", str(_LIFE), "-"]
    environment = {**os.environ, "SSH_AUTH_SOCK": socket}
    done = subprocess.run(words, input=private, capture_output=True, text=True, env=environment, timeout=10)
    if done.returncode:
        raise OrchError("host", f"ssh-agent does not take a key: {done.stderr.strip()}", "ssh -V")


def _end(pid: int, socket: str) -> None:
    with suppress(OSError):
        os.kill(pid, signal.SIGTERM)
    with suppress(OSError):
        os.unlink(socket)
