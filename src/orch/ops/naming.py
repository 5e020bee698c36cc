"""What a job is called that nobody named: its repository, and the program that it runs.

Pure, and a guess: whatever COMMAND holds, a name comes out, and no value of a variable is in it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence

_PREPARES = frozenset(
    ["cd", "pushd", "export", "set", "source", ".", "unset", "ulimit", "umask", "trap", "alias", "declare"]
)
_GRAMMAR = frozenset(["for", "while", "until", "if", "case", "select", "function", "{", "}", "[", "[[", "!"])
_RUNS = re.compile(
    r"python[\d.]*|bash|sh|zsh|node|ruby|perl|Rscript|julia|uv|poetry|npm|npx|pnpm|yarn|bun"
    r"|time|nice|ionice|nohup|timeout|stdbuf|env|sudo|exec"
)
_SHELLS = ("bash", "sh", "zsh")
_BETWEEN = re.compile(r"[();<>|&]+")


def job_name(repository: str, command: str) -> str:
    """``web-train`` for ``python train.py`` in octo/web."""
    stem = os.path.basename(_program(command)).partition(".")[0]
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{repository.rpartition('/')[2]}-{stem.strip('_-') or 'job'}")
    return plain.strip("_-")[:64] or "job"


def _program(command: str) -> str:
    """The first program of a command line that is more than a preparation; nothing where that is a loop, or hidden."""
    for words in _statements(command):
        while words and re.match(r"\w+=", words[0]):
            words = words[1:]
        if words and words[0] in _GRAMMAR:
            return ""
        if words and words[0] not in _PREPARES:
            return _run_by(words)
    return ""


def _statements(command: str) -> Iterator[list[str]]:
    """The words of each simple command, as far as the quotes are right."""
    tokens = shlex.shlex(command.replace("\n", ";"), posix=True, punctuation_chars=True)
    tokens.whitespace_split, tokens.commenters = True, ""
    words: list[str] = []
    try:
        for token in tokens:
            if _BETWEEN.fullmatch(token):
                yield words
                words = []
            else:
                words.append(token)
    except ValueError:  # a quote that is not closed
        pass
    yield words


def _run_by(words: Sequence[str]) -> str:
    """The program itself, or the script, the module or the target that it is to run."""
    program = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name = os.path.basename(word)
        if program in _SHELLS and re.fullmatch(r"-[a-z]*c", word):
            return _program(following) or program
        if word == "-m":
            return following
        if word in ("-c", "-e"):
            break
        if _RUNS.fullmatch(name):
            program = name
        elif not (program and (word == "run" or word[:1].isdigit())) and re.match(r"[\w/.~]", word) and "=" not in word:
            return word
    return program
