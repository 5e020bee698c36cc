"""An id that was submitted before: it is the same job once more, or a conflict.

Invariants
- What is only told to people of a job's code, as the branch that it was taken on, makes no other job of it.
"""

from __future__ import annotations

from . import wire
from .ledger import Record
from .model import JobSpec, Refusal

_TOLD = ("branch", "head", "changed")


def check(job_id: str, known: Record, spec: JobSpec) -> None:
    """Refuse ``spec`` where the id belongs to ``known``, and that is to run something else."""
    if _essence(known.spec, *_TOLD) == _essence(spec, *_TOLD):
        return
    said = "the id %s belongs to %s, submitted with another command or options" % (job_id, known.ref)
    hint = "orch show %s" % known.ref
    if known.spec.code and _essence(known.spec, *_TOLD, "commit") == _essence(spec, *_TOLD, "commit"):
        said = "the id %s belongs to %s, which was submitted with the snapshot %s; the files here have changed since"
        said, hint = said % (job_id, known.ref, known.spec.code["commit"][:7]), "orch diff %s ." % known.ref
    raise Refusal("conflict", said, hint)


def _essence(spec: JobSpec, *but: str) -> str:
    """Text that is equal for equal specifications, whatever these fields of their code are."""
    code = spec.code and {key: value for key, value in spec.code.items() if key not in but}
    return wire.spec_to_json(spec._replace(code=code))
