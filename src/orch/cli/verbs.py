"""The word behind ``secret``: what is to be done, and with which name."""

from __future__ import annotations

from collections.abc import Sequence

from orch.errors import usage

_ALSO = {**dict.fromkeys(("add", "put"), "set"), "ls": "list", **dict.fromkeys(("remove", "delete"), "rm")}


def verb(program: str, words: Sequence[str], known: Sequence[str]) -> tuple[str, str]:
    """One of the ``known`` verbs, ``list`` where none is typed, and the one name behind it; ``list`` takes none."""
    typed, names = words[0] if words else "list", words[1:]
    meant = _ALSO.get(typed, typed)
    if meant not in known:
        raise usage(f"{program} takes {', '.join(known[:-1])} or {known[-1]} first", f"{program} list")
    if meant == "list":
        if names:
            raise usage(f"{program} list takes no names", f"{program} list")
        return meant, ""
    if len(names) != 1:  # what is too much may be a value: it is not repeated
        wrong = "a value is never an argument, where others can see it" if names else "NAME is missing"
        raise usage(f"{program} {typed} takes one NAME: {wrong}", f"{program} set NAME    # asks for the value")
    return meant, names[0]
