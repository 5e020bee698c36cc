"""What a runner makes of a host that will not let it begin."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from orch_agent import runner
from orch_agent.ledger import Ledger, Record, open_ledger
from orch_agent.model import JobSpec


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("ORCH_HOME", str(tmp_path / "host"))
    monkeypatch.setattr(runner, "_REST", 0.0)
    return open_ledger()


def left_of(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, number: int) -> Record:
    """The row of a job whose runner was refused with this error."""

    def refuse(record: Record, _: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(runner, "Runner", refuse)
    with ledger:
        record = ledger.insert("job", 1, JobSpec("job", "true"), 1.0, queued=1, admitted_at=1.0)
        runner._try(record)
        return ledger.get("job") or record


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENOMEM])
def test_what_a_host_lacks_for_a_while_ends_no_job(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    assert left_of(ledger, monkeypatch, number).is_pending


def test_what_will_never_work_is_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    end = left_of(ledger, monkeypatch, errno.EROFS)
    assert not end.is_pending and "could not be started" in (end.result_json or "")
