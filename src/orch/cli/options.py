"""Options that several commands share."""

from __future__ import annotations

from .args import Option
from .values import variable

HOST = Option("--host", "the host, where it is not the default one", "HOST", short="-H")
JSON = Option("--json", "one JSON document instead of text")
FOLLOW = Option("--follow", "go on until the job ends", short="-f")

SUBMIT = (
    HOST,
    Option("--cwd", "where the command runs; on another host, DIR and ~/DIR are below the home there", "DIR"),
    Option("--env", "set a variable for the command; may be repeated", "NAME=VALUE", variable, many=True),
    Option("--no-tty", "no terminal: the output goes straight into the log"),
    Option("--keep-children", "what the command leaves running is not ended with it"),
    Option("--replace", "cancel a live job of this name first"),
    Option("--id", "submitting the same key again gives the same job", "KEY"),
    Option("--wait", "wait, and end with the job's own exit status"),
    Option("--follow", "show the log until the job ends, and end with its exit status", short="-f"),
    JSON,
)

LATER = {
    **dict.fromkeys(("--mem", "--mem-max", "--cpus", "--timeout", "--retries", "--after", "--array"), "(0.3)"),
    **dict.fromkeys(("--sync", "--no-sync", "--secret"), "(0.6)"),
    **dict.fromkeys(("--max-usd", "--dry-run"), "(0.7)"),
    "--notify": "",
}
"""Options that are promised, and the version that brings each; "" where that is not settled."""
