"""A laptop with a gh that is logged in to the imitated GitHub."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.cli import Done, Orch
from tests.support.github.binaries import newest
from tests.support.github.hub import GitHub
from tests.support.github.tokens import LAPTOP
from tests.support.laptop import Laptop


class _Cs(Orch):
    program = "cs"


class GitHubLaptop(Laptop):
    """``orch``, and ``laptop.cs`` as well; ``gh`` is a path, or None for a laptop that has none."""

    def __init__(self, github: GitHub, gh: Path | None = None) -> None:
        super().__init__()
        self.github = github
        self.bin = self.home / "bin"
        self.bin.mkdir()
        gh_config = self.home / ".config/gh"
        gh_config.mkdir(parents=True)
        (gh_config / "config.yml").write_text(f"version: 1\nhttp_unix_socket: {github.socket}\n")
        self.env["GH_CONFIG_DIR"] = str(gh_config)
        self.env["GH_TELEMETRY"] = "0"
        self.env["GH_NO_UPDATE_NOTIFIER"] = "1"
        self.env["PATH"] = f"{self.bin}:/usr/local/bin:/usr/bin:/bin"
        self.cs = _Cs(self.home, self.env)
        self.cs.env = self.env
        self.log_in(LAPTOP)
        self.use(gh or newest())

    def set(self, **options: str) -> None:
        """Write its configuration anew: what it says of codespaces."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in options.items()]
        self.config.write_text("\n".join(["[codespaces]", *lines, ""]))

    def use(self, gh: Path | None) -> None:
        """Have this gh, or none."""
        place = self.bin / "gh"
        place.unlink(missing_ok=True)
        if gh:
            place.symlink_to(gh)

    def log_in(self, token: str | None) -> None:
        """Have this token, or none."""
        self.env.pop("GH_TOKEN", None)
        if token:
            self.env["GH_TOKEN"] = token

    def gh(self, *words: str, timeout: float = 60, **more: Any) -> Done:
        """Run the real gh to its end."""
        stdin = {} if "input" in more else {"stdin": subprocess.DEVNULL}
        given = {**stdin, "env": {**os.environ, **self.env}, **more}
        done = subprocess.run([self.bin / "gh", *words], capture_output=True, timeout=timeout, cwd=self.home, **given)
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
