"""The hash of files with holes: by what they hold, wherever a file system has holes."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from orch_agent.sparse import BLOCK, Sum, read, summed


def whole(data: bytes) -> str:
    sum_ = Sum()
    sum_.add(data)
    assert sum_.size == len(data)
    return sum_.hexdigest()


def some(seed: int) -> tuple[random.Random, bytes]:
    """Bytes and zeros in turn, as long as blocks, or about so."""
    chance = random.Random(seed)
    lengths = [chance.choice([1, 100, BLOCK - 1, BLOCK, BLOCK + 7, 3 * BLOCK]) for _ in range(chance.randrange(9))]
    return chance, b"".join(bytes(one) if chance.random() < 0.5 else chance.randbytes(one) for one in lengths)


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_same_however_the_bytes_come(seed: int) -> None:
    chance, data = some(seed)
    sum_, at = Sum(), 0
    while at < len(data):
        piece = data[at : at + chance.choice([7, 1000, BLOCK, BLOCK + 1, 5 * BLOCK])]
        if not piece.strip(b"\0") and chance.random() < 0.7:
            sum_.skip(len(piece))
        else:
            sum_.add(memoryview(piece))
        at += len(piece)
        assert sum_.hexdigest() == whole(data[:at])


@pytest.mark.parametrize("seed", range(20))
def test_files_with_holes_and_without_are_one(tmp_path: Path, seed: int) -> None:
    chance, data = some(seed)
    with (tmp_path / "full").open("wb") as full, (tmp_path / "sparse").open("wb") as sparse:
        full.write(data)
        for at in range(0, len(data), 4096):
            if data[at : at + 4096].strip(b"\0"):
                sparse.seek(at)
                sparse.write(data[at : at + 4096])
        sparse.truncate(len(data))
    for name in ("full", "sparse"):
        with (tmp_path / name).open("rb") as file:
            until = chance.randrange(len(data) + 1)
            assert summed(file.fileno(), len(data)).hexdigest() == whole(data)
            assert summed(file.fileno(), until).hexdigest() == whole(data[:until])
            pieces = read(file.fileno(), until, len(data) + 5)
            assert b"".join(piece or bytes(count) for count, piece in pieces) == data[until:]


def test_without_zeros_it_is_the_plain_one() -> None:
    data = random.Random(1).randbytes(5 * BLOCK + 3)
    assert whole(data) == hashlib.sha256(data).hexdigest() and whole(b"") == hashlib.sha256().hexdigest()


def test_where_the_zeros_are_counts() -> None:
    x, no = b"x" * BLOCK, bytes(BLOCK)
    alike = [x, x + no, no + x, x + no + no, no + x + no, no + no + x, x + no + x, no, no + no, no + b"\0"]
    alike.append(hashlib.sha256(x).digest())
    assert len(set(map(whole, alike))) == len(alike)


def test_a_hole_costs_nothing() -> None:
    sum_ = Sum()
    for _ in range(1000):
        sum_.skip(1 << 52)
    sum_.add(os.urandom(5))
    assert sum_.size == (1000 << 52) + 5 and len(sum_.hexdigest()) == 128
