"""The agent as one parcel: its sources, and the hash that names them.

The agent is read as files, never imported: what runs on a host is not what happens to be loaded here.
The same sources give the same hash and the same bytes on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec

STUB = b"from orch_agent.__main__ import main\nmain()\n"


@cache
def sources() -> dict[str, bytes]:
    """Path inside the agent's directory -> content, sorted by path."""
    spec = find_spec("orch_agent")
    assert spec is not None and spec.origin is not None
    root = os.path.dirname(spec.origin)
    found = {"__main__.py": STUB}
    for path in _python_files(root):
        with open(path, "rb") as file:
            found["orch_agent/" + os.path.relpath(path, root).replace(os.sep, "/")] = file.read()
    return dict(sorted(found.items()))


def _python_files(root: str) -> Iterator[str]:
    for directory, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name != "__pycache__"]
        yield from (os.path.join(directory, name) for name in names if name.endswith(".py"))


@cache
def digest() -> str:
    """First 16 hex digits of the sha256 over every path and content."""
    parts = (b"%s\0%d\0%s" % (path.encode(), len(content), content) for path, content in sources().items())
    return sha256(b"".join(parts))[:16]


def sha256(data: bytes) -> str:
    """The hash of ``data`` in hex digits."""
    # CPython's own module (3.12 and later, 3.11) first: hashlib loads OpenSSL, 6 ms that every command would pay.
    for name in ("_sha2", "_sha256", "hashlib"):
        try:
            return str(import_module(name).sha256(data).hexdigest())
        except ImportError:
            continue
    raise AssertionError("hashlib is part of every Python")


def pack() -> tuple[bytes, str]:
    """The sources as a tar, and the sha256 of that in hex digits."""
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in sources().items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue(), sha256(buffer.getvalue())


def installer() -> str:
    """The program that unpacks the parcel on a host."""
    spec = find_spec("orch.installer")
    assert spec is not None and spec.origin is not None
    with open(spec.origin, encoding="utf-8") as file:
        return file.read()
