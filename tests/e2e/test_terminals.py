"""A laptop whose terminal the host has never heard of."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.laptop import Laptop
from tests.support.machine import Machine
from tests.support.terminal import Terminal


def test_attach_from_a_terminal_of_tomorrow(
    machine: Machine, laptop: Callable[..., Laptop], terminal: Terminal
) -> None:
    mine = laptop(machine)
    assert mine("run", "talk", "printf 'na\\303\\257ve\\n'; read x; echo got $x; read x").status == 0
    env = {**mine.env, "TERM": "xterm-of-tomorrow", "LC_ALL": "C.UTF-8"}
    terminal.start([str(word) for word in mine.argv("attach", "talk")], env)
    terminal.shows("na\u00efve")
    terminal.types("it")
    terminal.keys("Enter")
    terminal.shows("got it")
    terminal.keys("C-b", "d")
    terminal.shows("talk.1 runs on; orch attach talk")
