"""File systems that are small or may not be written, mounted for a test. Needs root, or sudo without a password."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Agent
from tests.support.root import as_root


@contextlib.contextmanager
def tmpfs(where: Path, size: str) -> Iterator[Path]:
    """An empty file system of ``size`` bytes at ``where``."""
    where.mkdir()
    as_root(
        "mount", "-t", "tmpfs", "-o", f"size={size},mode=700,uid={os.getuid()},gid={os.getgid()}", "tmpfs", str(where)
    )
    try:
        yield where
    finally:
        # Lazy: a process that ends this very moment may still have its working directory there.
        as_root("umount", "-l", str(where))


@contextlib.contextmanager
def of_agent(agent: Agent, monkeypatch: pytest.MonkeyPatch, size: str) -> Iterator[Path]:
    """The agent keeps everything on a disk of ``size`` bytes."""
    with tmpfs(agent.home / "small", size) as disk:
        monkeypatch.setenv("ORCH_HOME", str(disk))
        agent.root = disk
        yield disk
        agent.close()


@contextlib.contextmanager
def without_holes(where: Path) -> Iterator[Path]:
    """An empty file system that knows no holes in files, at ``where``."""
    where.mkdir()
    as_root("mount", "-t", "ramfs", "-o", "mode=777", "ramfs", str(where))
    try:
        yield where
    finally:
        as_root("umount", "-l", str(where))


@contextlib.contextmanager
def read_only(where: Path) -> Iterator[None]:
    """``where`` and all below it cannot be written, by root neither."""
    as_root("mount", "--bind", str(where), str(where))
    try:
        as_root("mount", "-o", "remount,bind,ro", str(where))
        yield
    finally:
        as_root("umount", "-l", str(where))
