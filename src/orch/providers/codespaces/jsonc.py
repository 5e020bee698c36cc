"""JSON with comments, read with the place of every value, and changed as text.

Invariants
- What is read is JSON besides ``//`` and ``/* */``, and a comma behind the last of its kind.
- A change adds or replaces text at one place. Everything else, comments too, stays as it was, byte for byte.
- What is added is written as the rest is: its indentation, its ends of lines, its commas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_GAP = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
_BEHIND = re.compile(r"//[^\r\n]*|/\*.*?\*/|,", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\r\n]|\\.)*"')
_WORD = re.compile(r"[-+.\w]+")


class Broken(ValueError):
    """The text is no JSON with comments; the message says where."""


class Node(NamedTuple):
    """A value, and the text that it stands in, from ``start`` to ``end``; ``members`` are an object's."""

    start: int
    end: int
    value: Any
    members: Mapping[str, Node] = {}


def parse(text: str) -> Node:
    """The value that ``text`` is; ``Broken`` where it is none. Of a key that is there twice the last counts."""
    try:
        node = _value(text, _after_gap(text, 0))
    except RecursionError:
        raise Broken("line 1: this is nested too deeply") from None
    rest = _after_gap(text, node.end)
    if rest < len(text):
        raise _broken(text, rest, "the end")
    return node


def comments(text: str) -> list[str]:
    """Every comment, in order."""
    return [found[0] for found in _COMMENT.finditer(text) if found[1] is None]


def added(text: str, path: Sequence[str], key: str, value: Any, notes: Sequence[str] = ()) -> str:
    """``text`` with one more member of the object at ``path``, at its end, below ``notes``, lines of a comment."""
    text = _opened(text, path)
    node = _at(text, path)
    inner = _inner(text, node)
    member = _dumped(text, value, inner, isinstance(value, dict) and _is_open(text, node))
    if not _is_open(text, node):
        return _added_inline(text, node, f"{json.dumps(key)}: {member}")
    newline = _newline(text)
    lines = (*(f"// {note}" for note in notes), f"{json.dumps(key)}: {member}")
    block = "".join(newline + inner + line for line in lines)
    last, comma, end = _last(text, node)
    if last is None:
        return text[:end] + block + newline + _line_indent(text, node.start) + text[node.end - 1 :]
    if comma:
        return text[:end] + block + "," + text[end:]
    return text[: last.end] + "," + text[last.end : end] + block + text[end:]


def replaced(text: str, path: Sequence[str], value: Any) -> str:
    """``text`` with another value at ``path``; the comments in the old one stand behind it."""
    node = _at(text, path)
    kept = (f" {one}{_newline(text) if one.startswith('//') else ''}" for one in comments(text[node.start : node.end]))
    return text[: node.start] + json.dumps(value, ensure_ascii=False) + "".join(kept) + text[node.end :]


def wrapped(text: str, path: Sequence[str], key: str) -> str:
    """``text`` with the value at ``path`` as the member ``key`` of an object that takes its place."""
    node = _at(text, path)
    outer = _line_indent(text, node.start)
    inner, newline = outer + _unit(text), _newline(text)
    old = text[node.start : node.end]
    if not comments(old):  # which may go over several lines, and stay as they are
        old = old.replace("\n", "\n" + _unit(text))
    return f"{text[: node.start]}{{{newline}{inner}{json.dumps(key)}: {old}{newline}{outer}}}{text[node.end :]}"


def _at(text: str, path: Sequence[str]) -> Node:
    node = parse(text)
    for key in path:
        node = node.members[key]
    return node


# Reading


def _after_gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return found.end() if found else at


def _value(text: str, at: int) -> Node:
    first = text[at : at + 1]
    if first == "{":
        return _object(text, at)
    if first == "[":
        return _array(text, at)
    if first == '"':
        return _string(text, at)
    found = _WORD.match(text, at)
    if found is None:
        raise _broken(text, at, "a value")
    try:
        return Node(at, found.end(), json.loads(found[0], parse_constant=int))
    except ValueError:
        raise _broken(text, at, "a value") from None


def _string(text: str, at: int) -> Node:
    found = _STRING.match(text, at)
    if found is None:
        raise _broken(text, at, "a text in double quotes")
    try:
        return Node(at, found.end(), json.loads(found[0], strict=False))
    except ValueError:
        raise _broken(text, at, "a text without such an escape") from None


def _object(text: str, start: int) -> Node:
    members: dict[str, Node] = {}
    at = _after_gap(text, start + 1)
    while text[at : at + 1] != "}":
        key = _string(text, at)
        colon = _after_gap(text, key.end)
        if text[colon : colon + 1] != ":":
            raise _broken(text, colon, "a colon")
        node = _value(text, _after_gap(text, colon + 1))
        members[key.value] = node
        at = _after_comma(text, node.end, "}")
    return Node(start, at + 1, {key: node.value for key, node in members.items()}, members)


def _array(text: str, start: int) -> Node:
    values = []
    at = _after_gap(text, start + 1)
    while text[at : at + 1] != "]":
        node = _value(text, at)
        values.append(node.value)
        at = _after_comma(text, node.end, "]")
    return Node(start, at + 1, values)


def _after_comma(text: str, at: int, closing: str) -> int:
    at = _after_gap(text, at)
    if text[at : at + 1] == ",":
        return _after_gap(text, at + 1)
    if text[at : at + 1] != closing:
        raise _broken(text, at, f"a comma or {closing}")
    return at


def _broken(text: str, at: int, wanted: str) -> Broken:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    seen = repr(text[at : at + 12].splitlines()[0]) if text[at:].strip() else "the end"
    return Broken(f"line {line}, column {column}: {wanted} is wanted, and there is {seen}")


# Writing


def _is_open(text: str, node: Node) -> bool:
    """Whether an object takes more than one line."""
    return "\n" in text[node.start : node.end]


def _opened(text: str, path: Sequence[str]) -> str:
    """``text`` with the object at ``path`` on several lines, where it has no members or is all of the text."""
    node = _at(text, path)
    if _is_open(text, node) or (path and node.members):
        return text
    inside = text[node.start + 1 : node.end - 1].strip()
    outer, newline = _line_indent(text, node.start), _newline(text)
    body = f"{newline}{outer}{_unit(text)}{inside}" if inside else ""
    return f"{text[: node.start]}{{{body}{newline}{outer}}}{text[node.end :]}"


def _added_inline(text: str, node: Node, member: str) -> str:
    _, comma, end = _last(text, node)
    return f"{text[:end]} {member},{text[end:]}" if comma else f"{text[:end]}, {member}{text[end:]}"


def _last(text: str, node: Node) -> tuple[Node | None, bool, int]:
    """The member that stands last, whether a comma follows it, and where all ends that stands inside the object."""
    last = max(node.members.values(), key=lambda one: one.end, default=None)
    begin = node.start + 1 if last is None else last.end
    behind = list(_BEHIND.finditer(text, begin, node.end - 1))
    return last, any(found[0] == "," for found in behind), behind[-1].end() if behind else begin


def _dumped(text: str, value: Any, indent: str, is_open: bool) -> str:
    if not is_open or not value:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, indent=_unit(text), ensure_ascii=False).split("\n")
    return f"{_newline(text)}{indent}".join(lines)


def _inner(text: str, node: Node) -> str:
    """The indentation of an object's members."""
    for member in node.members.values():
        begin = text.rfind("\n", 0, member.start) + 1
        found = re.match(r'([ \t]*)"', text[begin : member.start])
        if found and begin > node.start:
            return found[1]
    return _line_indent(text, node.start) + _unit(text)


def _line_indent(text: str, at: int) -> str:
    begin = text.rfind("\n", 0, at) + 1
    found = re.match(r"[ \t]*", text[begin:at])
    return found[0] if found else ""


def _unit(text: str) -> str:
    """By how much each level is indented."""
    root = parse(text)
    indents = (_line_indent(text, node.start) for node in root.members.values())
    return next((indent for indent in indents if indent), "  ")


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
