"""Deploy keys on a host, by the real ssh-keygen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orch_agent import deploykeys

KEY = "github.com--octo--lros"


@pytest.mark.parametrize(
    ("damage", "is_whole", "is_kept"),
    [
        (": >KEY", False, False),
        ("head -c 99 KEY >x && mv x KEY", False, False),
        ("printf 'x\\0y' >KEY", False, False),
        ("rm KEY", False, False),
        ("echo garbage >KEY.pub", True, True),
        ("rm KEY.pub", True, True),
        ("chmod 644 KEY", False, True),
    ],
)
def test_a_damaged_key_is_mended(home: Path, damage: str, is_whole: bool, is_kept: bool) -> None:
    """It is kept where its private half is."""
    first = deploykeys.ensure(KEY, "a comment", "about")
    assert deploykeys.public(KEY) == first == deploykeys.ensure(KEY, "a comment", "about")
    directory = home / ".orch/keys"
    subprocess.run(["bash", "-ec", damage.replace("KEY", KEY)], cwd=directory, check=True)
    assert (deploykeys.public(KEY) is not None) == is_whole
    second = deploykeys.ensure(KEY, "a comment", "about")
    assert (second == first) == is_kept
    assert deploykeys.public(KEY) == second == (directory / f"{KEY}.pub").read_text().strip()
    assert sorted(path.name for path in directory.iterdir()) == [KEY, f"{KEY}.pub"]
