"""A machine that is just starting is waited for, whatever it is that does not answer yet."""

from __future__ import annotations

import pytest

from orch.errors import OrchError
from orch.providers import base
from orch.transport import LinkDown, Off


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_PAUSE", 0.0)


class Starting:
    """Fails with each of these in turn, then answers."""

    def __init__(self, *errors: OrchError) -> None:
        self.errors = list(errors)

    def __call__(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


def test_neither_the_tunnel_nor_sshd_need_answer_at_once() -> None:
    told: list[tuple[str, str]] = []
    ask = Starting(Off("cloud", "starting", why="Session Manager does not reach it yet"), LinkDown("refused"))
    base.reached(ask, "ssh", 60, lambda *words: told.append(words))
    assert [status.partition(":")[0] for _, status in told] == ["connecting", "not yet", "not yet", "answers"]


def test_what_waiting_cannot_mend_is_told_at_once() -> None:
    with pytest.raises(OrchError, match="another host key"):
        base.reached(Starting(OrchError("not_authorised", "another host key")), "ssh", 60, lambda *_: None)


def test_the_last_error_is_told_when_it_takes_too_long() -> None:
    with pytest.raises(Off, match="is just starting"):
        base.reached(Starting(*[Off("cloud", "starting")] * 2), "ssh", -1, lambda *_: None)
