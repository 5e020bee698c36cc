"""``orch diff``: what differs between the code of two runs, or of a run and the working tree here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orch import code
from orch.errors import usage
from orch.ops import hosts
from orch.ops.diff import between, diff

from . import options
from .args import Arguments, Command, Option
from .code import taken
from .output import has_colours, is_terminal, note_of_link
from .run import here

COMMAND = Command(
    name="diff",
    words="NAME [NAME | .] [-- PATH...]",
    options=(
        Option("--stat", "only how much has changed in each file"),
        Option("--name-only", "only the names of files that have changed"),
        options.HOST,
    ),
    least=1,
    most=2,
    takes_rest=True,
    text="""\
Between the code of two runs, as git shows it; with `.`, or one NAME alone, between a run and the working tree here as
it is now. Only runs that were submitted with --sync have code that is known. NAME is the newest run, NAME.3 the third.

  orch diff train                    # what I have changed since
  orch diff train.3 train.4 --stat
  orch diff train.3 . -- src""",
)


def main(args: Arguments) -> int:
    """Show it, in a pager on a terminal."""
    refs = args.words if args.words[1:] != ["."] else args.words[:1]
    if refs[0] == ".":
        raise usage("the first of the two is a job; `.` stands second", f"orch diff {(*args.words[1:], 'NAME')[0]} .")
    remote = between(hosts.load(), refs, args["host"])
    now = taken(here(), remote.begin("receive")) if len(refs) == 1 else None
    paths = [os.path.normpath(os.path.join(code.place(here()), path)) for path in args.rest or []]
    chosen = [name for name in ("--stat", "--name-only") if args[name.strip("-").replace("-", "_")]]
    with _shown() as write:
        diff(remote, refs, now, [*chosen, *(["--color"] if has_colours() else [])], paths, write, note_of_link)
    return 0


@contextmanager
def _shown() -> Iterator[Callable[[bytes], Any]]:
    """Where it goes: on a terminal to the person's pager, which is less unless they have said otherwise."""
    pager = os.environ.get("GIT_PAGER") or os.environ.get("PAGER") or ("less" if shutil.which("less") else "cat")
    if not is_terminal(sys.stdout) or pager == "cat":
        yield sys.stdout.buffer.write
        return
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    with subprocess.Popen(pager, shell=True, stdin=subprocess.PIPE, env=environment) as process:  # noqa: S602
        assert process.stdin is not None
        try:
            yield process.stdin.write
        except BrokenPipeError:
            return  # they have seen enough
        finally:
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
