"""How the code of a job is called."""

from __future__ import annotations


def short(commit: str) -> str:
    """A commit as people write it."""
    return commit[:7]


def told(code: object) -> str:
    """``lros 3f2a1b9 (main ab12cd3, 2 files changed)``; nothing of a job that has none, or of nonsense."""
    if not isinstance(code, dict) or not all(isinstance(code.get(key), str) for key in ("store", "commit")):
        return ""
    return _line(code["store"].rpartition("-")[0], code)


def _line(name: str, said: dict[str, object]) -> str:
    branch, head, changed = said.get("branch"), said.get("head"), said.get("changed")
    at = " ".join([*([str(branch)] if branch else []), *([short(str(head))] if head else [])])
    number = changed if isinstance(changed, int) else 0
    more = f"{number} file{'s' * (number != 1)} changed" if number else ""
    inside = ", ".join(filter(None, (at, more)))
    return f"{name} {short(str(said['commit']))}" + (f" ({inside})" if inside else "")
