"""gh's command line, read as gh reads it."""

from __future__ import annotations

from collections.abc import Sequence

_OF_GH = {"-c", "--codespace", "-R", "--repo", "--repo-owner", "--profile", "--server-port", "--debug-file"}
_OF_SSH = "bcDeFIiLlmOopRSWw"  # those of ssh's options that take a value


def kind_of(words: Sequence[str]) -> str:
    """``stdio``, ``config``, ``command`` or ``shell`` of ``gh codespace ssh``; else what is called, or nothing."""
    given = list(words[1:])
    if given[:1] not in (["cs"], ["codespace"]):
        return given[0] if given else ""
    if given[1:2] != ["ssh"]:
        return given[1] if given[1:] else ""
    rest, own = given[2:], True
    while rest:
        word = rest.pop(0)
        if own and word in ("--stdio", "--config"):
            return word[2:]
        if word == "--" and own:
            own = False
        elif (own and word in _OF_GH) or (not own and len(word) == 2 and word[0] == "-" and word[1] in _OF_SSH):
            rest[:1] = []
        elif not word.startswith("-"):
            return "command"
    return "shell"
