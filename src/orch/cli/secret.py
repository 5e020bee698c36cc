"""``orch secret``: what jobs are to know and nobody else."""

from __future__ import annotations

from orch.model import label
from orch.ops import hosts, secrets

from . import options
from .args import Arguments, Command
from .asking import secret_value
from .output import document, note, say
from .verbs import verb

COMMAND = Command(
    name="secret",
    words="set|list|rm|send [NAME]",
    options=(options.HOST, options.JSON),
    text="""\
The value comes from a prompt, or from standard input; never from the command line, which others can see. For a machine
at AWS it is kept in Parameter Store there; for others, and for this machine, in the keychain here, from where it goes
along with a job and waits in the host's memory. Jobs have it as a variable; their logs show *** in its place.
`send JOB` brings a job's secrets once more, after a restart of its host. Codespaces: cs secret.

  orch secret set API_TOKEN                       # for the default host; -H names another
  orch secret set DEPLOY_KEY < key.pem
  orch run train --secret API_TOKEN --secret KEY=DEPLOY_KEY "python train.py"
  orch secret list
  orch secret rm API_TOKEN""",
)


def main(args: Arguments) -> int:
    """Keep, show, forget, or bring once more."""
    done, name = verb("orch secret", args.words, ("set", "list", "rm", "send"))
    if done == "list":
        return _list(args)
    if done == "send":
        return _send(args, name)
    return (_set if done == "set" else _remove)(args, secrets.checked_name(name))


def _set(args: Arguments, name: str) -> int:
    host = hosts.load().one(args["host"]).host
    store = secrets.store_of(host)
    remarks = secrets.keep(host, name, secret_value(name, store.most))
    say(f"{name} is set for {host.name}, in {store.where}")
    for text in remarks:
        note(f"orch: {text}")
    return 0


def _remove(args: Arguments, name: str) -> int:
    host = hosts.load().one(args["host"]).host
    secrets.store_of(host).remove(name)
    say(f"{name} is not kept for {host.name} any more; jobs that have it already keep it until they have ended")
    return 0


def _list(args: Arguments) -> int:
    host = hosts.load().one(args["host"]).host
    store = secrets.store_of(host)
    found = store.names()
    if args["json"]:
        document({"secrets": [{"name": name, "host": host.name, "kept_in": store.where} for name in found]})
    elif found:
        say("\n".join(found))
    else:
        say(f"no secrets are kept for {host.name}")
    return 0


def _send(args: Arguments, ref: str) -> int:
    job = secrets.send(hosts.load(), ref, args["host"])
    if args["json"]:
        document({"job": job})
    else:
        say(f"{job['host']} has the secrets of {label(job)}")
    return 0
