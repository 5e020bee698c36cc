"""How often ``cs status --watch`` asks whom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from orch.cli.args import Arguments, parse
from orch.cli.cs import status, watching
from orch.cli.cs.status import Seen
from orch.cli.cs.watching import Watched
from orch.model import Host, HostStatus
from orch.ops import cache, codespaces
from orch.providers.codespaces.space import Space, read


def test_github_is_asked_now_and_then_and_a_codespace_once_a_minute(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, listed, asked = 1000.0, 0, 0
    spaces = [read({"name": "fluffy-1", "state": "Available", "repository": {"full_name": "octo/web"}})]

    def refresh(fresh: float) -> list[Space]:
        nonlocal listed
        listed += 1
        return spaces

    def look(args: Arguments, everything: Sequence[Space]) -> Seen:
        nonlocal asked
        asked += 1
        host = Host(everything[0].name, "codespaces")
        off = everything[0].off
        return Seen(everything, [HostStatus(host, [], {}, now, error=off or None, off=off)], None)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(codespaces, "refresh", refresh)
    monkeypatch.setattr(watching, "look", look)
    watched = Watched(parse(status.COMMAND, ["--watch"]))
    for _ in range(30):  # two seconds apart
        [told] = watched._ask()
        now += 2
    assert (told.host.name, told.facts, listed, asked) == ("web", {}, 6, 1)
    cache.save(HostStatus(Host("fluffy-1", "codespaces"), [], {"idle_seconds": 5.0}, time.time()))
    [told] = watched._ask()
    assert (told.facts, listed, asked) == ({"idle_seconds": 5.0}, 7, 2), "a minute is over"
    now, spaces = now + 10, [spaces[0]._replace(state="Shutdown")]
    [told] = watched._ask()
    assert (told.off, listed, asked) == ("stopped", 8, 3), "it is another now"
    assert "Shutdown" in "\n".join(watched._sight([told]).above)
