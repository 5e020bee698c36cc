"""``attach``: open the job's view in tmux if need be, and say how to look at it."""

from __future__ import annotations

from .. import observe, present
from ..launch import tmux
from ..ledger import open_ledger
from ..model import Ended, Refusal
from .common import Answer, Request, find, text
from .reach import reach


def run(request: Request) -> Answer:
    """The session and the words that attach to it."""
    with open_ledger() as ledger:
        record = find(ledger, text(request, "job"))
        state = observe.look(ledger, record)
        if isinstance(state, Ended):
            raise Refusal(
                "refused", "%s has ended (%s)" % (record.ref, state.result.state), "orch logs %s" % record.ref
            )
        reach(record).close()
        session, words = tmux.attach_words(record)
        return {"job": present.job_view(record, state), "session": session, "argv": words}
