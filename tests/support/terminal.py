"""A real terminal with somebody in front of it: a tmux server of the test's own, not the one that shows jobs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import join

from tests.support.agent import eventually


class Terminal:
    """One window. The program in it is run by ``sh``, which says how it ended and then stays."""

    def __init__(self, home: Path) -> None:
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(home / "terminal.sock")]

    def start(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, width: int = 100, height: int = 30
    ) -> None:
        """Begin a program."""
        changed = ["env", *(f"{key}={value}" for key, value in (env or {}).items())]
        script = f'{join([*changed, *argv])}; echo "[ended $?]"; exec cat'
        self._call("new-session", "-d", "-s", "window", "-x", str(width), "-y", str(height), script)

    def _call(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=False, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self, *options: str) -> str:
        """What is on the screen; with ``-e`` colours too."""
        return self._call("capture-pane", "-p", *options, "-t", "window")

    def shows(self, text: str) -> str:
        """The screen, once it shows ``text``."""
        try:
            eventually(lambda: text in self.screen(), f"the screen shows {text!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{self.screen()}") from None
        return self.screen()

    def keys(self, *names: str) -> None:
        """Press keys by tmux's names for them."""
        self._call("send-keys", "-t", "window", *names)

    def types(self, text: str) -> None:
        """Type text as it is."""
        self._call("send-keys", "-l", "-t", "window", "--", text)

    def resize(self, width: int, height: int) -> None:
        """Make the window another size."""
        self._call("resize-window", "-t", "window", "-x", str(width), "-y", str(height))

    def value(self, name: str) -> int:
        """A number that the terminal knows: ``cursor_flag``, ``history_size``."""
        return int(self._call("display-message", "-p", "-t", "window", f"#{{{name}}}"))

    def close(self) -> None:
        """End it."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)
