"""``orch rerun``: the same again, with options changed."""

from __future__ import annotations

from orch import paths
from orch.errors import OrchError
from orch.ops import hosts
from orch.ops.jobs import spec_of
from orch.remote import Remote
from orch_agent.model import JobSpec

from . import options
from .args import Arguments, Command
from .run import check_options, delivery_of, submit_and_stay, with_options
from .waking import awake

COMMAND = Command(
    name="rerun",
    words="NAME",
    options=options.SUBMIT,
    later=options.LATER,
    least=1,
    most=1,
    text="""\
NAME is the newest run, NAME.3 the third; it becomes the next run of that name. Of an array NAME is all of it, NAME.3
the one task. Options change what they say; an empty value takes one away: --timeout ''. A run that was submitted with
--sync runs again with the code that it had; --sync takes the code that is here now.

  orch rerun train --env EPOCHS=20 --follow
  orch rerun train --mem 11G""",
)


def main(args: Arguments) -> int:
    """Submit the specification of an earlier run."""
    check_options(args)
    known = hosts.load()
    source, spec = awake(known.config.hosts, lambda: _earlier(known, args.words[0], args["host"]))
    target = known.one(args["host"]) if args["host"] else source
    if spec.cwd and source.transport.here and not target.transport.here:
        spec = spec._replace(cwd=paths.elsewhere(spec.cwd))
    try:
        delivery = delivery_of(args, target)
        if delivery is not None and spec.code is not None and delivery.snapshot.store != spec.code["store"]:
            says = f"{args.words[0]} ran code of another repository than {delivery.snapshot.top}"
            raise OrchError("refused", says, f"orch rerun {args.words[0]} --sync    # in a clone of that one")
        return submit_and_stay(target, with_options(spec, args, target, delivery), args, delivery)
    except OrchError as error:
        if error.kind == "no_code":
            where = f" --host {args['host']}" if args["host"] else ""
            hint = f"orch rerun {args.words[0]} --sync{where}    # with the code as it is here now"
            raise OrchError("refused", f"{target.host.name} has not the code of {args.words[0]}", hint) from None
        if error.kind == "name_in_use":
            error.hint = error.hint.replace(f"orch run {spec.name} ", f"orch rerun {args.words[0]} ")
        raise


def _earlier(known: hosts.Hosts, ref: str, host: str | None) -> tuple[Remote, JobSpec]:
    source = _source(known, ref, host)
    return source, spec_of(source, ref)


def _source(known: hosts.Hosts, ref: str, host: str | None) -> Remote:
    """Where the earlier run is: not always where the new one shall be, unless only --host can tell which is meant."""
    try:
        return known.of_job(ref)
    except OrchError as error:
        if host is None or error.kind != "refused":
            raise
        return known.one(host)
