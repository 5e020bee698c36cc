"""Options that several commands share."""

from __future__ import annotations

from typing import Any

from orch import units

from .args import Option
from .values import secret, variable

HOST = Option("--host", "the host, where it is not the default one", "HOST", short="-H")
JSON = Option("--json", "one JSON document instead of text")
FOLLOW = Option("--follow", "go on until the job ends", short="-f")


def _term(name: str, explanation: str, value: str, many: bool = False) -> Option:
    """A term of a job; its value is the key of ``JobSpec`` and what is said there, None for an empty value."""
    key = name.removeprefix("--").replace("-", "_")
    read = units.TERMS[key]

    def pair(text: str) -> tuple[str, Any]:
        return key, read(text) if text else None

    return Option(name, explanation, value, pair, many=many)


TERMS = (
    _term("--mem", "memory to reserve: 6G, 512M; otherwise what the runs before it have taught", "SIZE"),
    _term("--mem-max", "memory at which the job is ended as OUT_OF_MEMORY", "SIZE"),
    _term("--cpus", "processors to reserve", "N"),
    _term("--timeout", "time after which the job is ended as TIMEOUT: 90s, 30m, 3h, 1d", "T"),
    _term("--retries", "further attempts after a failure, want of memory, or a loss of the host", "N"),
    _term("--retry-delay", "time before the second attempt, twice that before each further one; 10s unless said", "T"),
    _term("--after", "start once this job has completed; CANCELLED if it fails; may be repeated", "NAME", many=True),
    _term("--array", "a job for each number: 0-9, 1,5,7, 0-99:10; with %3 at most three at once", "TASKS"),
    _term("--nice", "later in the queue by a higher number, sooner by a negative one", "N"),
    _term("--log-max", "size beyond which the log keeps only its beginning and end; 10G unless said", "SIZE"),
    _term("--stall", "end the job when it neither computes, reads nor writes for so long", "T"),
)

SUBMIT = (
    HOST,
    Option("--cwd", "where the command runs; on another host, DIR and ~/DIR are below the home there", "DIR"),
    Option("--env", "set a variable for the command; may be repeated", "NAME=VALUE", variable, many=True),
    Option(
        "--secret",
        "a variable whose value is a secret: NAME, or NAME=KEPT_AS; may be repeated",
        "NAME",
        secret,
        many=True,
    ),
    *TERMS,
    Option("--sync", "run in the working tree here as it is now, uncommitted changes too"),
    Option("--no-sync", "run without it, where the repository says sync = true"),
    Option("--no-tty", "no terminal: the output goes straight into the log"),
    Option("--keep-children", "what the command leaves running is not ended with it"),
    Option("--replace", "cancel a live job of this name first"),
    Option("--id", "submitting the same key again gives the same job", "KEY"),
    Option("--wait", "wait, and end with the job's own exit status"),
    Option(
        "--pull",
        "with --wait or --follow: bring PATH here at the end, as `pull` does; may be repeated",
        "PATH",
        many=True,
    ),
    Option("--follow", "show the log until the job ends, and end with its exit status", short="-f"),
    JSON,
)

LATER = {
    **dict.fromkeys(("--max-usd", "--dry-run"), "(0.7)"),
    "--notify": "",
}
"""Options that are promised, and the version that brings each; "" where that is not settled."""
