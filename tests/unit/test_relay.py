"""Ports of this machine that lead to a host, when this machine has no more of something."""

from __future__ import annotations

import resource
import socket
import threading

import pytest

from orch.ops import relay
from orch.ops.relay import HERE, Relay

from .fakes import FakeTransport


class Failing(FakeTransport):
    """A host to which nothing leads."""

    def dial(self, port: int) -> None:
        """As where a module is asked for and no descriptor is left to read it with."""
        raise ImportError("no more of these")


def is_reset(port: int) -> bool:
    with pytest.raises(ConnectionResetError), socket.create_connection((HERE, port), 30) as one:
        one.recv(1)
    return True


def test_whatever_goes_wrong_the_other_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where not even a thread can be had; and the next one is another attempt."""
    told: list[tuple[int, str]] = []
    one = Relay(Failing(), lambda *words: told.append(words))
    port = one.listen(0, 80)
    one.start()
    assert is_reset(port) and told == [(80, "no more of these")]
    begin = threading.Thread.start
    with monkeypatch.context() as patch:

        def start(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", start)
        assert is_reset(port) and told[1:] == [(80, "can't start new thread")]
    assert threading.Thread.start is begin and is_reset(port) and told[2:] == told[:1]


def test_it_takes_as_many_descriptors_as_it_may_have() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        Relay(Failing(), lambda *_: None).start()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (relay._MANY, before[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (relay._MANY + 1, before[1]))
        Relay(Failing(), lambda *_: None).start()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == relay._MANY + 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
