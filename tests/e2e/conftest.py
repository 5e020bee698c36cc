from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.terminal import Terminal


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    """A terminal in the same home."""
    one = Terminal(home)
    yield one
    one.close()
