"""JSON with comments: whatever is merged, nothing that was there is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orch.providers.codespaces import devcontainer, jsonc

settings.register_profile("jsonc", deadline=None)
settings.load_profile("jsonc")

TEXTS = st.text(st.sampled_from('ab,:{}[]/*"\\\n\té sshd'), max_size=6)
COMMANDS = st.one_of(TEXTS, st.lists(TEXTS, max_size=2), st.dictionaries(TEXTS, TEXTS, max_size=2), st.none())
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 99), st.floats(-1, 1), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "image": TEXTS,
        "build": VALUES,
        "hostRequirements": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {},
                optional={"cpus": st.integers(1, 8), "memory": st.sampled_from(["8gb", "64gb", "", 3]), "gpu": VALUES},
            ),
        ),
        "features": st.one_of(st.none(), st.dictionaries(st.sampled_from(["a/sshd:1", "b/go", "tmux"]), VALUES)),
        "onCreateCommand": COMMANDS,
        "postCreateCommand": COMMANDS,
        "updateContentCommand": COMMANDS,
        "postStartCommand": COMMANDS,
        "x": VALUES,
    },
)
COMMENT_TEXTS = st.text(st.sampled_from('a "{},:/\\é'), max_size=5)
GAPS = st.sampled_from(["", " ", "\t"])


class Writer:
    """Writes a value in one of the many ways it can be written."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.newline = draw(st.sampled_from(["\n", "\r\n"]))
        self.comments: list[str] = []

    def gap(self) -> str:
        kind = self.draw(st.integers(0, 11))
        if kind == 0:
            comment = "//" + self.draw(COMMENT_TEXTS)
        elif kind == 1:
            comment = "/*" + self.draw(COMMENT_TEXTS).replace("*/", "") + self.draw(st.sampled_from(["*/", "\n\t*/"]))
        else:
            return str(self.draw(GAPS)) + (self.newline + "   " if kind < 6 else "")
        self.comments.append(comment)
        return comment + (self.newline if kind == 0 else "")

    def many(self, brackets: str, items: list[Any]) -> str:
        text = brackets[0] + self.gap()
        for place, item in enumerate(items):
            text += item() + self.gap()
            is_last = place == len(items) - 1
            if not is_last or self.draw(st.booleans()):
                text += "," + self.gap()
        return text + brackets[1]

    def member(self, key: str, value: Any) -> str:
        text = json.dumps(key) + self.gap() + ":" + self.gap()  # in this order: so are the comments
        return text + self.value(value)

    def value(self, value: Any) -> str:
        if isinstance(value, dict):
            return self.many("{}", [lambda k=key, v=one: self.member(k, v) for key, one in value.items()])
        if isinstance(value, list):
            return self.many("[]", [lambda v=one: self.value(v) for one in value])
        return json.dumps(value, ensure_ascii=self.draw(st.booleans()))


@st.composite
def written(draw: Any, values: Any) -> tuple[Any, str, list[str]]:
    value, writer = draw(values), Writer(draw)
    text = writer.gap() + writer.value(value) + writer.gap()
    return value, text, writer.comments


@given(written(VALUES))
def test_it_reads_what_was_written(one: tuple[Any, str, list[str]]) -> None:
    value, text, comments = one
    assert jsonc.parse(text).value == value
    assert jsonc.comments(text) == comments


def is_within(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(one in rest for one in part)


def commands(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else [value] if value else []


@given(written(FILES))
def test_a_merged_file_has_what_it_should_and_all_that_it_had(one: tuple[Any, str, list[str]]) -> None:
    before, text, comments = one
    merged = devcontainer.merge(text)
    after = jsonc.parse(merged.text).value
    assert is_within(comments, jsonc.comments(merged.text))
    for key, value in before.items():
        if key == "postStartCommand":
            assert all(command in commands(after[key]) for command in commands(value))
        elif isinstance(value, dict) and key in ("hostRequirements", "features"):
            assert {name: after[key][name] for name in value} == value
        elif value or key not in ("hostRequirements", "features", *devcontainer._ONCE):
            assert after[key] == value
    assert [key for key in after if key in before] == list(before)
    assert {"image", "build"} & set(after)
    assert set(devcontainer.HOST) <= set(after["hostRequirements"])
    assert any("sshd" in key for key in after["features"])
    assert devcontainer.WAKE in json.dumps(after["postStartCommand"])
    assert "tmux" in json.dumps([after.get(key) for key in (*devcontainer._ONCE, "features")]) or merged.told
    assert devcontainer.merge(merged.text) == merged
    assert "\r" in merged.text or "\r\n" not in text


@given(st.text(st.sampled_from('{}[]",:/*\\\n 1atrue'), max_size=12))
def test_what_is_no_json_is_refused_and_nothing_else(text: str) -> None:
    try:
        value = jsonc.parse(text).value
    except jsonc.Broken as error:
        assert str(error).startswith("line ")
        with pytest.raises(ValueError):
            json.loads(text)
    else:
        json.dumps(value)
