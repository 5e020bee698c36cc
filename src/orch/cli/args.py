"""Command lines read from a declaration: one table gives parsing, help and completion.

Invariants
- Options may stand before, between and behind the words; after ``--`` everything is taken as it is.
- Nothing is abbreviated and nothing is ignored: what is not declared is a usage error that names the nearest option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from orch.errors import nearest, usage
from orch_agent.model import NAME_RULE

_OPTION = re.compile(r"-[A-Za-z]|--[a-z][a-z-]{0,30}")
"""What an option may be called."""


class Option(NamedTuple):
    """``value`` is what the help calls its value; without one it is a flag. ``many``: may be given repeatedly."""

    name: str
    help: str
    value: str = ""
    read: Callable[[str], Any] = str
    short: str = ""
    many: bool = False

    @property
    def key(self) -> str:
        """What the parsed value is found under."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def absent(self) -> Any:
        """What is found there when it was not given."""
        if self.many:
            return []
        return None if self.value else False


class Command(NamedTuple):
    """One command as its users see it."""

    name: str
    words: str
    """The words it takes, as the usage line has them: ``NAME...``."""

    options: tuple[Option, ...]
    text: str
    """What the help says below the summary."""

    least: int = 0
    most: int | None = None
    """How many words it takes; None is any number."""

    takes_rest: bool = False
    """Whether ``--`` sets apart an argument vector; otherwise it only ends the options."""

    later: Mapping[str, str] = {}
    """Options still to come, and the versions that bring them."""


class Arguments:
    """A command line that was understood: ``args["host"]`` is the value of ``--host``."""

    def __init__(self, values: Mapping[str, Any], words: list[str], rest: list[str] | None = None) -> None:
        self._values = values
        self.words = words
        self.rest = rest

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def having(self, **values: Any) -> Arguments:
        """The same with other values."""
        return Arguments({**self._values, **values}, self.words, self.rest)

    def with_words(self, words: list[str]) -> Arguments:
        """The same with other words."""
        return Arguments(self._values, words, self.rest)


def parse(command: Command, argv: Sequence[str]) -> Arguments:
    """Read ``argv``; an ``OrchError`` of kind ``usage`` says what is wrong with it."""
    values = {option.key: option.absent for option in command.options}
    words: list[str] = []
    rest: list[str] | None = None
    line = iter(argv)
    for word in line:
        if word == "--":
            rest = list(line)
        elif word.startswith("-") and word != "-":
            name, given = _split(word)
            option = next((o for o in command.options if name in (o.name, o.short)), None)
            if option is None:
                raise _unknown(command, name, words, argv)
            _take(command, option, name, given, line, values)
        else:
            words.append(word)
    if rest is not None and not command.takes_rest:
        words, rest = words + rest, None
    _count(command, words, rest, argv)
    return Arguments(values, words, rest)


def _take(
    command: Command, option: Option, name: str, given: str | None, line: Iterator[str], values: dict[str, Any]
) -> None:
    if not option.value:
        if given is not None:
            raise usage(f"{name} takes no value", _help(command))
        values[option.key] = True
        return
    text = next(line, None) if given is None else given
    if text is None:
        raise usage(f"{name} needs a value: {option.value}", _help(command))
    value = option.read(text)
    values[option.key] = [*values[option.key], value] if option.many else value


def _split(word: str) -> tuple[str, str | None]:
    """``--name=value`` and ``-nvalue`` hold their value; other options have it behind them, or none."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return word[:2], word[2:] or None


def _unknown(command: Command, name: str, words: Sequence[str], argv: Sequence[str]) -> Exception:
    shown = repr(name) if _OPTION.fullmatch(name) else "-..."  # it may be a value, as of a key that is pasted
    wrong = f"{shown} is no option of orch {command.name}"
    if name in command.later:
        return usage(wrong, f"{name} comes with a later version {command.later[name]}".rstrip())
    guess = nearest(name.strip("-"), [option.name.strip("-") for option in command.options])
    hint = f"did you mean --{guess}?" if guess else _help(command)
    if "NAME" in command.words and not words and not name.startswith("--"):
        return usage(f"{wrong}, and no name: a name is {NAME_RULE}", hint)
    mistyped = guess and name.startswith("--") and len(words) < 3
    return usage(wrong, hint if mistyped else _as_command(command, words, argv) or hint)


def _count(command: Command, words: Sequence[str], rest: Sequence[str] | None, argv: Sequence[str]) -> None:
    if rest and not words and command.least:
        raise usage("NAME is missing: it stands before --", f"orch {command.name} NAME -- {_quoted(rest)}")
    if len(words) < command.least:
        raise usage(f"something is missing: {usage_line(command)}", _help(command))
    if command.most is not None and len(words) > command.most:
        wrong = f"orch {command.name} has no use for {words[command.most]!r}: {usage_line(command)}"
        raise usage(wrong, _as_command(command, words, argv) or _help(command))


def _as_command(command: Command, words: Sequence[str], argv: Sequence[str]) -> str:
    """What was meant by a command that was typed in many words: `orch run mv ls -la`."""
    if not command.takes_rest or len(words) < 2 or any(map(str.isspace, words[1])):
        return ""
    first = argv.index(words[0])
    is_named = not command.words.startswith('["COMMAND"')
    typed = argv[argv.index(words[1], first + 1) if is_named else first :]
    start, line = f"orch {command.name}{f' {words[0]}' if is_named else ''}", " ".join(typed)
    as_text = '"COMMAND"' in command.words and not set(line) & set('"$`\\!')
    shell = f'{start} "{line}"   or: ' if as_text else ""
    return f"{shell}{start} -- {_quoted(typed)}"


def _quoted(words: Sequence[str]) -> str:
    import shlex

    return shlex.join(words)


def _help(command: Command) -> str:
    return f"orch help {command.name}"


def usage_line(command: Command) -> str:
    """``orch status [options] [NAME...]``."""
    options = "[options]" if command.options else ""
    return " ".join(filter(None, ("orch", command.name, options, command.words)))


def help_text(command: Command, summary: str) -> str:
    """The help of one command."""
    names = [f"{o.short + ', ' if o.short else '    '}{o.name} {o.value}".rstrip() for o in command.options]
    width = max(map(len, names), default=0)
    rows = [f"  {name:<{width}}  {option.help}" for name, option in zip(names, command.options, strict=True)]
    parts = [f"{summary}.", f"Usage: {usage_line(command)}", command.text.strip("\n")]
    if rows:
        parts.append("Options:\n" + "\n".join(rows))
    return "\n\n".join(part for part in parts if part) + "\n"
