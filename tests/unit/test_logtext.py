"""What a log is taken to say: a prompt, and the first error."""

from __future__ import annotations

from pathlib import Path

import pytest

from orch_agent import logtext

ERRORS = {
    "a traceback, not its first line": (
        "epoch 1\nTraceback (most recent call last):\n"
        '  File "train.py", line 3, in <module>\n    main()\n  File "x.py", line 9, in f\n    raise KeyError("x")\n'
        "KeyError: 'x'\nbye\n",
        "KeyError: 'x'",
    ),
    "the first of two tracebacks": (
        "Traceback (most recent call last):\n  a\nValueError: first\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        "Traceback (most recent call last):\n  b\nRuntimeError: second\n",
        "ValueError: first",
    ),
    "a traceback behind a launcher's words": (
        "[rank0]: Traceback (most recent call last):\n[rank0]:   File x\n[rank0]: torch.OutOfMemoryError: CUDA\n",
        "torch.OutOfMemoryError: CUDA",
    ),
    "a traceback, before what was an error earlier": (
        "ERROR: no plugin\nTraceback (most recent call last):\n  x\nMemoryError\n",
        "MemoryError",
    ),
    "bash": ("bash: line 1: no-such: command not found\n", "bash: line 1: no-such: command not found"),
    "a shell's child": ("bash: line 1:   4711 Killed   python x\n", "bash: line 1:   4711 Killed   python x"),
    "a compiler": (
        "ok\nmain.c:3:5: error: 'x' undeclared\nmake: *** [all] Error 1\n",
        "main.c:3:5: error: 'x' undeclared",
    ),
    "make alone": ("cc main.c\nmake: *** [Makefile:2: all] Error 1\n", "make: *** [Makefile:2: all] Error 1"),
    "rust": ("thread 'main' panicked at src/main.rs:2:5:\nboom\n", "thread 'main' panicked at src/main.rs:2:5:"),
    "a logger": ("2026-02-16 INFO x\n2026-02-16 ERROR no data\n", "2026-02-16 ERROR no data"),
    "colours": ("\x1b[31mfatal: \x1b[0mnot a git repository\n", "fatal: not a git repository"),
    "behind a progress bar": ("10%\r20%\rValueError: bad\r\n", "ValueError: bad"),
    "a figure is none": ("step 1 error: 0.05\nvalidation error: .1\n0 errors, no error: fine\n", None),
    "words are none": ("terror in the error handling of errors\n", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize("what", ERRORS)
def test_the_first_error(tmp_path: Path, what: str) -> None:
    text, said = ERRORS[what]
    (tmp_path / "log").write_text(text)
    assert logtext.first_error(str(tmp_path / "log")) == said


def test_an_error_is_found_at_both_ends_of_a_long_log(tmp_path: Path) -> None:
    path, filling = tmp_path / "log", "step\n" * 1_000_000
    path.write_text(filling + "ValueError: late\n")
    assert logtext.first_error(str(path)) == "ValueError: late"
    path.write_text("ValueError: early\n" + filling + "ValueError: late\n")
    assert logtext.first_error(str(path)) == "ValueError: early"


PROMPTS = {
    "a question": (b"hello\r\nOverwrite? [y/N] ", "Overwrite? [y/N]"),
    "with its newline": (b"Name:\r\n", "Name:"),
    "coloured": (b"\x1b[1;32msure?\x1b[0m \x1b]0;title\x07> ", "sure? >"),
    "written over": (b"loading...\rpassword: ", "password:"),
    "rubbed out": (b"ab\b\bcd? ", "cd?"),
    "a log that says nothing": (b"\r\n\r\n", None),
    "no text": (b"\xff\xfe\x00? ", "\ufffd\ufffd?"),
    "the end of a long one": (b"x" * 300 + b" sure?", "x" * 194 + " sure?"),
}


@pytest.mark.parametrize("what", PROMPTS)
def test_a_prompt(tmp_path: Path, what: str) -> None:
    data, said = PROMPTS[what]
    (tmp_path / "log").write_bytes(data)
    assert logtext.prompt(str(tmp_path / "log")) == said


def test_no_log_says_nothing(tmp_path: Path) -> None:
    assert logtext.prompt(str(tmp_path / "none")) is None
    assert logtext.first_error(str(tmp_path / "none")) is None
