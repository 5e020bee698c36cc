"""``attach``: open the job's view in tmux if need be, and say how to look at it."""

from __future__ import annotations

from .. import observe, terminfo, waiting
from ..launch import tmux
from ..ledger import open_ledger
from ..model import STARTS, Ended, Pending, Refusal
from .common import Answer, Request, find, shown, text
from .reach import reach


def run(request: Request) -> Answer:
    """The session and the words that attach to it."""
    with open_ledger() as ledger:
        record = find(ledger, text(request, "job"), "attach")
        state = observe.look(ledger, record)
        if isinstance(state, Ended):
            raise Refusal(
                "refused", "%s has ended (%s)" % (record.ref, state.result.state), "orch logs %s" % record.ref
            )
        why = waiting.Outlook(ledger).reason(record) if isinstance(state, Pending) else STARTS
        if why != STARTS:
            raise Refusal("refused", "%s is pending: %s" % (record.ref, why), "orch logs -f %s" % record.ref)
        reach(record).close()
        session, words = tmux.attach_words(record)
        return {"job": shown(ledger, record, state), "session": session, "argv": _fitted(words, request)}


def _fitted(words: list[str], request: Request) -> list[str]:
    """For the terminal that they will run on, where the client says what it is."""
    if request.get("utf8"):
        words = [words[0], "-u", *words[1:]]
    if request.get("term") and not terminfo.knows(text(request, "term")):
        words = ["env", "TERM=" + terminfo.COMMON, *words]
    return words
