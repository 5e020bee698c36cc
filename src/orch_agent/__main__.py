"""argv -> what this process is: a verb that answers, or a companion that stays with a job.

Companions import little, for they live long: ``supervisor``, which turns into a ``runner`` for each job, and ``adopt``
and ``view``, which take a job's id. ``wake`` starts the supervisor after a restart of the host, if there is need.
``vigil`` stays with a codespace.
"""

from __future__ import annotations

import importlib
import os
import sys

from . import cgroup
from .launch import detach
from .model import JOB_ENV

COMPANIONS = ("supervisor", "adopt", "view", "wake", "vigil")


def main() -> None:
    """Do what the command line says and exit: 0, or 1 with an error document."""
    detach.set_private_umask()
    if "ORCH_HOME" in os.environ:
        os.environ["ORCH_HOME"] = os.path.abspath(os.environ["ORCH_HOME"])  # what we start works elsewhere
    if JOB_ENV[0] in os.environ:
        cgroup.keep_apart()  # frozen with the job that called us, we might hold the ledger meanwhile
    verb, *words = sys.argv[1:] or [""]
    if verb in COMPANIONS:
        importlib.import_module("orch_agent." + verb).main(*words)
        return
    from .answer import answer

    status = answer(verb, "".join(words))
    sys.stderr.flush()
    os._exit(status)  # everything is out; Python's own tidying up takes a third of the time of a short verb
