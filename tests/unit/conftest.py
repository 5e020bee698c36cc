"""Examples are not timed: machines differ, and a busy one is no failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.unit.fakegh import FakeGh

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture
def gh(home: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGh:
    """The gh of this home."""
    one = FakeGh(home)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    return one
