"""A gh that writes down what it was called with: the real one meets an imitated GitHub in tests/e2e."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

GH = """\
#!{python}
import json, os, sys
words = sys.argv[1:]
if words == ["--version"]:
    print("gh version 2.102.0 (2026-09-30)")
    sys.exit()
with open("{log}", "a") as log:
    log.write(json.dumps([words, sys.stdin.read() if words[0] == "secret" else ""]) + "\\n")
if words[0] == "api":
    said = json.load(open("{answers}"))
    path = words[words.index("X-GitHub-Api-Version: 2022-11-28") + 1].partition("?")[0]
    if path not in said:
        sys.exit("gh: Not Found (HTTP 404)")
    print(json.dumps(said[path]))
"""


class FakeGh:
    """What gh is told, and tells."""

    def __init__(self, home: Path) -> None:
        self.log, self.answers = home / "gh.log", home / "gh.json"
        self.tells({})
        program = home / "bin" / "gh"
        program.parent.mkdir()
        program.write_text(GH.format(python=sys.executable, log=self.log, answers=self.answers))
        program.chmod(0o755)

    def tells(self, answers: dict[str, Any]) -> None:
        self.answers.write_text(json.dumps(answers))

    @property
    def told(self) -> list[tuple[list[str], str]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        calls = [json.loads(line) for line in lines]
        return [(words, stdin) for words, stdin in calls if words[0] == "secret"]
