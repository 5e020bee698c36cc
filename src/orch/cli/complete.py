"""``orch __complete WORD...``: candidates for the last word, one a line, each with a tab and an explanation.

The shells' scripts ask this at every Tab, so it is quick and wakes nobody: names of jobs are those last seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .args import Arguments, Command, Option
from .output import clean, say

COMMAND = Command(name="__complete", words="WORD...", options=(), text="")


def main(args: Arguments) -> int:
    """Print candidates."""
    *before, word = args.words or [""]
    for text, explanation in candidates(before, word):
        say(f"{clean(text)}\t{clean(explanation)}")
    return 0


def candidates(before: Sequence[str], word: str) -> Iterator[tuple[str, str]]:
    """What ``word`` may become behind the words ``before``, ``orch`` itself left out."""
    return ((text, why) for text, why in _all(before, word) if text.startswith(word))


def _all(before: Sequence[str], word: str) -> Iterable[tuple[str, str]]:
    from . import main as called

    face = called.face
    if not before:
        return [(name, entry.summary) for name, entry in face.table.items()]
    if before[0] not in face.table or "--" in before:
        return []
    command = face.own(face.load(before[0]).COMMAND)
    awaited = _awaiting(command, before[1:])
    if awaited is not None:
        known = {"--host": _hosts, "--codespace": _hosts, "--after": _jobs}.get(awaited.name, list)
        return [(name, "") for name in known()]
    if word.startswith("-"):
        return [(option.name, option.help) for option in command.options]
    return _words(command, before[1:])


def _awaiting(command: Command, before: Sequence[str]) -> Option | None:
    """The option whose value comes next."""
    last = before[-1] if before else ""
    return next((o for o in command.options if o.value and last in (o.name, o.short) and last), None)


def _words(command: Command, before: Sequence[str]) -> Iterable[tuple[str, str]]:
    if command.name == "help":
        from . import main as called

        return [(name, entry.summary) for name, entry in called.face.table.items()] + [
            ("agents", "the contract, for programs")
        ]
    if command.name == "completion":
        return [(shell, "") for shell in ("bash", "zsh", "fish")]
    if "|" in command.words and not _has_word(command, before):
        return [(verb, "") for verb in command.words.split()[0].split("|")]
    if command.name == "secret":
        return [(name, "job") for name in _jobs()] if "send" in before else []
    if command.words.strip("[]").startswith(("HOST", "CODESPACE")) and not _has_word(command, before):
        return [(host, "") for host in _hosts()]
    if ":DIR" in command.words:
        return [(f"{host}:", "") for host in _hosts()] if _has_word(command, before) else []
    if "NAME" not in command.words:
        return []
    several = command.words.strip("[]") == "NAME..."
    return [(name, "job") for name in _jobs()] if several or not _has_word(command, before) else []


def _has_word(command: Command, before: Sequence[str]) -> bool:
    """Whether there is a word that is neither an option nor the value of one."""
    return any(
        not word.startswith("-") and _awaiting(command, before[:place]) is None for place, word in enumerate(before)
    )


def _jobs() -> list[str]:
    from orch.ops import cache

    return cache.names()


def _hosts() -> list[str]:
    from orch.ops import hosts
    from orch_agent.model import Refusal

    try:
        return list(hosts.load().config.hosts)
    except Refusal:
        return []
