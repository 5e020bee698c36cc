from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch.cli import main as cli
from orch.cli.args import Command, Option, help_text, parse
from orch.errors import OrchError, exit_status

COMMAND = Command(
    name="cook",
    words="NAME [DISH...]",
    options=(
        Option("--pan", "which", "PAN", short="-p"),
        Option("--salt", "more than once", "N", int, many=True),
        Option("--no-lid", "open"),
        Option("--follow", "stay", short="-f"),
    ),
    text="",
    least=1,
    most=3,
)


def test_options_stand_anywhere() -> None:
    for line in ("-p big a b --no-lid", "a -pbig --no-lid b", "a --pan=big b --no-lid", "--no-lid --pan big a b"):
        args = parse(COMMAND, line.split())
        assert args.words == ["a", "b"]
        assert (args["pan"], args["no_lid"], args["follow"], args["salt"]) == ("big", True, False, [])


def test_a_repeatable_option_keeps_every_value_in_order() -> None:
    assert parse(COMMAND, ["a", "--salt", "1", "--salt=2"])["salt"] == [1, 2]


def test_a_value_may_look_like_an_option() -> None:
    assert parse(COMMAND, ["a", "--pan", "--no-lid"])["pan"] == "--no-lid"
    assert parse(COMMAND, ["a", "--pan="])["pan"] == ""


def test_behind_two_dashes_everything_is_a_word() -> None:
    assert parse(COMMAND, ["a", "--", "--pan", "-"]).words == ["a", "--pan", "-"]
    kept = parse(COMMAND._replace(takes_rest=True), ["a", "--", "x", "--", "y"])
    assert (kept.words, kept.rest) == (["a"], ["x", "--", "y"])
    assert parse(COMMAND._replace(takes_rest=True), ["a"]).rest is None


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (["a", "--pann", "x"], "'--pann' is no option", "did you mean --pan?"),
        (["a", "--mem", "6G"], "'--mem' is no option", "orch help cook"),
        (["a", "--pa", "x"], "'--pa' is no option", "--pan"),
        (["a", "--pan"], "--pan needs a value", "orch help cook"),
        (["a", "--no-lid=yes"], "takes no value", "orch help cook"),
        ([], "something is missing", "orch help cook"),
        (["a", "b", "c", "d"], "no use for 'd'", "orch help cook"),
        (["-x", "b"], "at most 63 letters", "orch help cook"),
    ],
)
def test_what_is_not_declared_is_refused(line: list[str], message: str, hint: str) -> None:
    with pytest.raises(OrchError) as caught:
        parse(COMMAND, line)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert exit_status(caught.value) == 2


@given(st.lists(st.text(max_size=8) | st.sampled_from(["--", "--pan", "--salt", "-f", "-p", "--salt=1"]), max_size=6))
def test_any_line_is_understood_or_refused(line: list[str]) -> None:
    loose = COMMAND._replace(least=0, most=None, options=(COMMAND.options[0], COMMAND.options[3]))
    try:
        args = parse(loose, line)
    except OrchError as error:
        assert error.kind == "usage"
    else:
        assert set(args.words) <= set(line)


@pytest.mark.parametrize("name", list(cli.TABLE))
def test_every_command_has_a_help(name: str) -> None:
    command = cli.ORCH.load(name).COMMAND
    text = help_text(command, cli.TABLE[name].summary)
    assert command.name == name
    assert all(option.name in text for option in command.options)
    assert all(len(line) <= 120 for line in text.splitlines())
    assert cli.TABLE[name].summary in cli.ORCH.overview


RUN = Command(
    "run",
    'NAME ["COMMAND"]',
    (Option("--wait", ""), Option("--env", "", "K=V")),
    "",
    1,
    2,
    True,
    {"--mem": "(0.3)", "--notify": ""},
)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("mv ls -la", 'orch run mv "ls -la"   or: orch run mv -- ls -la'),
        ("--wait e true extra words", 'orch run e "true extra words"   or: orch run e -- true extra words'),
        ("x python t.py --epochs 3", 'orch run x "python t.py --epochs 3"   or: orch run x -- python t.py --epochs 3'),
        ("x echo $HOME now", "orch run x -- echo '$HOME' now"),
        ("x make --wiat", "did you mean --wait?"),
        ("x make --mem 6G", "--mem comes with a later version (0.3)"),
        ("x make --mem=6G", "--mem comes with a later version (0.3)"),
        ("x make --notify me", "--notify comes with a later version"),
        ("-- -x true", "orch run NAME -- -x true"),
    ],
)
def test_the_hint_is_what_was_meant(line: str, hint: str) -> None:
    with pytest.raises(OrchError) as caught:
        parse(RUN, line.split())
    assert caught.value.hint == hint
    assert exit_status(caught.value) == 2


def test_a_command_in_one_word_is_not_taken_apart() -> None:
    with pytest.raises(OrchError) as caught:
        parse(RUN, ["x", "python train.py", "--quiet"])
    assert caught.value.hint == "orch help run"
