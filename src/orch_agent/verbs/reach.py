"""A connection to a job's runner, for the verbs that need one; sockets are imported by no other."""

from __future__ import annotations

import os
import socket

from .. import layout, view
from ..ledger import Record
from ..model import Refusal

_PATIENCE = 3.0
"""Seconds that a job which has just been started may take to open its terminal."""


def reach(record: Record) -> socket.socket:
    """A connection to the runner of a job that has not ended."""
    os.chdir(layout.job_dir(record.id))
    runner = view.connect(_PATIENCE)
    if runner is None:
        raise Refusal(
            "refused", "the terminal of %s is gone: its runner was killed" % record.ref, "orch logs -f %s" % record.ref
        )
    return runner
