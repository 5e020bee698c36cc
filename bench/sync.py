"""A working tree of many files after a change of one line: orch sync beside rsync, and git with a real commit.

The tree is a clone of the repository that ORCH_BENCH_REPOSITORY names, or else one of 10,000 small files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median

from .figures import Figure, ms
from .harness import ORCH, Used, in_turn
from .site import Site, site

ROUNDS = 11
LIMIT = 1.3
FILES = 10_000
_numbers = count()
_ME = {"GIT_AUTHOR_NAME": "me", "GIT_AUTHOR_EMAIL": "me@x", "GIT_COMMITTER_NAME": "me", "GIT_COMMITTER_EMAIL": "me@x"}


def figures() -> list[Figure]:
    """On loopback and at a round trip of 50 ms, everything over connections that are open already."""
    if os.getuid() or not shutil.which("sshd", path="/usr/sbin:/usr/bin"):
        return [Figure("a working tree over ssh", "skipped: needs root, Linux and sshd")]
    with site("loopback") as near:
        found = changes(near)
    with site("50 ms", 0.050) as away:
        return [*found, *changes(away)]


def changes(where: Site) -> list[Figure]:
    """A line in one file, again and again."""
    tree = _tree(where.home)
    changed = tree / subprocess.check_output(["git", "-C", tree, "ls-files"], text=True).split("\n")[FILES // 2]
    inside, ssh = ["env", "-C", str(tree)], f"ssh -F {where.config}"
    push = [
        *inside,
        "git",
        "-c",
        f"core.sshCommand={ssh}",
        "push",
        "-q",
        "--force",
        "far:plain.git",
        "HEAD:refs/heads/work",
    ]
    rsync = ["rsync", "-a", "--delete", "--exclude", ".git", "-e", ssh, f"{tree}/", "far:mirror/"]
    where.machine.run("git init -q --bare plain.git")
    for words in (rsync, push, [*inside, *ORCH, "sync"]):
        where.measure(words)

    def after(change: Callable[[], object], *words: str) -> Used:
        with changed.open("a") as file:
            file.write(f"# {next(_numbers)}\n")
        change()
        return where.measure(words, **_ME)

    def nothing() -> None:
        """The tree is as it is."""

    def commit() -> None:
        subprocess.run(["git", "-C", tree, "commit", "-qam", "x"], env={**os.environ, **_ME}, check=True)

    together = f"git commit -qam x && {' '.join(map(_quoted, push[3:]))}"
    found = in_turn(
        ROUNDS,
        orch=lambda: after(nothing, *inside, *ORCH, "sync"),
        rsync=lambda: after(nothing, *rsync),
        both=lambda: after(nothing, *inside, "sh", "-c", together),
        push=lambda: after(commit, *push),
    )
    files = len(subprocess.check_output(["git", "-C", tree, "ls-files"]).splitlines())
    what = f"orch sync of {files:,} files after a change of one line, {where.name}"
    ours = median(used.elapsed for used in found["orch"])
    names = {"rsync": "rsync -a", "both": "git commit && git push", "push": "git push alone, of a commit made before"}
    rows = []
    fastest = min(median(used.elapsed for used in found[name]) for name in ("rsync", "both"))
    for name, called in names.items():
        theirs = median(used.elapsed for used in found[name])
        is_fastest = theirs == fastest
        wanted, met = (f"<= {LIMIT:g} x the fastest", ours <= LIMIT * theirs) if is_fastest else ("", None)
        rows.append(Figure(what, ms(ours), f"{called}: {ms(theirs)}", f"{ours / theirs:.2f} x", wanted, met))
    return rows


def _quoted(word: str) -> str:
    return f"'{word}'"


def _tree(home: Path) -> Path:
    tree = home / "tree"
    named = os.environ.get("ORCH_BENCH_REPOSITORY")
    if named:
        subprocess.run(["git", "clone", "-q", "--shared", named, tree], check=True)
        return tree
    for number in range(FILES):
        path = tree / f"d{number // 1000}" / f"e{number // 50}" / f"f{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"line {number} {line}\n" for line in range(20 + number % 60)))
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-C", tree, *words], env={**os.environ, **_ME}, check=True)
    return tree
