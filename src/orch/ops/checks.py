"""From what a host says of itself (the agent's ``examine``) to checks. Nothing here asks anybody.

Invariants
- A fact that the host could not find out is a check that was skipped, never one that failed.
- Every check that is not fine has a command that mends it, or that shows what to mend.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from orch.model import Check, CheckState
from orch.remote import Answer

Fact = Any

OLDEST_TMUX = (2, 2)
"""The first that knows ``=NAME`` as an exact target."""
LITTLE_DISK, NO_DISK = 1 << 30, 100 << 20
"""Bytes free below which a disk is worth a warning, and below which jobs will soon lose output."""
FEW_FILES = 10_000
"""Files that may still be made on a disk, below which it is worth a warning."""
LITTLE_MEMORY = 0.05
"""Share of the memory available, below which it is worth a warning."""
CLOCK_SECONDS = 5.0
"""How far a clock may be off before times shown mislead."""
SLOW_SHELL = 0.3
"""Seconds that a login shell may take; every command over ssh waits so long, and a round trip takes a tenth."""
MANY_AGENTS = 8
"""Versions of the agent that nobody uses, above which they are worth a warning (half a megabyte each)."""

_NONSENSE = "what this host says of it makes no sense"


def judge(answer: Answer, asked: float, told: float) -> list[Check]:
    """All checks of a host; ``asked`` and ``told`` are our clock (epoch seconds) before and after it answered."""
    checks = [_judged(name, answer.get(fact), decide) for name, fact, decide in _JUDGES]
    return [*checks, _judged("clock", answer.get("now"), partial(clock, asked=asked, told=told))]


def _judged(name: str, fact: Fact, decide: Callable[[Fact], Check]) -> Check:
    """The check; a fact of a shape that no agent gives it tells nothing, and hides no other."""
    if fact is None:
        return Check(name, "skipped", "this host cannot tell")
    try:
        check = decide(fact)
    except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError):
        return Check(name, "skipped", _NONSENSE)
    shown: tuple[Any, ...] = (check.says, check.mend)
    return check if all(isinstance(text, str) for text in shown) else Check(name, "skipped", _NONSENSE)


def agent(fact: Fact) -> Check:
    """The versions of the agent that are installed."""
    idle = [one["path"] for one in fact if not one["processes"] and not one["mine"]]
    used = sum(1 for one in fact if one["processes"] and not one["mine"])
    mine = next(one["path"] for one in fact if one["mine"])
    others = [f"{used} older or newer in use" if used else "", f"{len(idle)} not in use" if idle else ""]
    says = "; ".join([mine, *filter(None, others)])
    if len(idle) <= MANY_AGENTS:
        return Check("agent", "ok", says)
    return Check("agent", "warning", says, f"rm -rf {shlex.join(idle)}")


def python(fact: Fact) -> Check:
    """The interpreter that runs the agent."""
    return Check("python", "ok", f"{fact['version']} at {fact['executable']}, SQLite {fact['sqlite']}")


def tmux(fact: Fact) -> Check:
    """Whether jobs can be attached to."""
    path, version, install = fact["path"], fact["version"] or "", fact["install"]
    if path is None:
        is_command = not install.startswith("install ")  # but advice, where no package manager is known
        says = "not installed: jobs run without it, orch attach does not"
        return Check("tmux", "warning", says, install, safe=is_command)
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_TMUX:
        oldest = ".".join(map(str, OLDEST_TMUX))
        return Check(
            "tmux", "warning", f"{version or 'of unknown version'} at {path}: orch attach needs {oldest}", install
        )
    return Check("tmux", "ok", f"{version} at {path}")


def logout(fact: Fact) -> Check:
    """Whether jobs live on when their person logs out."""
    kills = fact["kills_user_processes"]
    if not fact["systemd"]:
        return Check("logout", "ok", "jobs live on: there is no systemd to end them")
    if fact["is_root"]:
        return Check("logout", "ok", "jobs live on: systemd spares what root started")
    if kills is False:
        return Check(
            "logout", "ok", f"jobs live on (KillUserProcesses=no, linger {'on' if fact['lingers'] else 'off'})"
        )
    if fact["lingers"] and fact["user_bus"]:
        return Check("logout", "ok", "jobs live on: linger is on")
    state: CheckState = "failed" if kills else "warning"
    ends = "ends" if kills else "may end"
    if fact["lingers"]:
        says = f"systemd {ends} jobs when you log out: linger is on, but there is no user bus to start them by"
        return Check("logout", state, says, _spare_jobs())
    says = f"systemd {ends} jobs when you log out: linger is off{', KillUserProcesses=yes' if kills else ''}"
    return Check("logout", state, says, f"sudo loginctl enable-linger {fact['user']}", safe=True)


def _spare_jobs() -> str:
    folder = "/etc/systemd/logind.conf.d"
    write = f"printf '[Login]\\nKillUserProcesses=no\\n' | sudo tee {folder}/orch.conf"
    return f"sudo mkdir -p {folder} && {write} && sudo systemctl kill -s HUP systemd-logind"


def directory(fact: Fact) -> Check:
    """Whether orch can write where it keeps its own files and the logs."""
    for place in fact:
        if place["trouble"]:
            return Check("directory", "failed", place["trouble"]["says"], place["trouble"]["mend"])
    return Check("directory", "ok", " and ".join(place["path"] for place in fact) + " can be written")


def disk(fact: Fact) -> Check:
    """Whether there is room for logs."""
    place = min(fact, key=lambda one: one["free_bytes"])
    free, path = place["free_bytes"], shlex.quote(place["path"])
    says = f"{size(free)} of {size(place['total_bytes'])} free for {place['path']}"
    if free < LITTLE_DISK:
        state: CheckState = "failed" if free < NO_DISK else "warning"
        return Check("disk", state, says, f"df -h {path}; du -xah {path} | sort -h | tail")
    crowded = next((one for one in fact if one["total_files"] and one["free_files"] < FEW_FILES), None)
    if crowded:
        says = f"room for only {crowded['free_files']} more files beside {crowded['path']}"
        return Check("disk", "warning", says, f"df -i {shlex.quote(crowded['path'])}")
    return Check("disk", "ok", says)


def memory(fact: Fact) -> Check:
    """Whether there is memory for jobs."""
    total, available = fact["mem_total_bytes"], fact["mem_available_bytes"]
    if total is None or available is None:
        return Check("memory", "skipped", "this host cannot tell")
    says = f"{size(available)} of {size(total)} available, {fact['cpus']} processors"
    if available < total * LITTLE_MEMORY:
        return Check("memory", "warning", says, "ps -eo rss,pid,user,args --sort=-rss | head")
    return Check("memory", "ok", says)


def shell(fact: Fact) -> Check:
    """Whether the login shell comes to the point."""
    name, seconds = fact["shell"], fact["seconds"]
    mend = quieten(name)
    if fact["status"] is None:
        says = f"{name} does not get through its start-up files within {seconds:.0f} s"
        return Check("shell", "failed", says, mend)
    if fact["status"]:
        return Check("shell", "failed", f"{name} ends in its start-up files (status {fact['status']})", mend)
    if fact["out_bytes"]:
        says = f"{name} prints {fact['out_bytes']} bytes before every command: scp, rsync and git may fail"
        return Check("shell", "warning", says, mend)
    if seconds > SLOW_SHELL:
        return Check("shell", "warning", f"{name} takes {seconds:.1f} s to start, before every command", mend)
    return Check("shell", "ok", f"{name} starts in {seconds * 1000:.0f} ms and prints nothing")


def quieten(shell: str) -> str:
    """How a shell is kept from doing for programs what it should do for people."""
    kind = shell.rpartition("/")[2]
    if kind == "bash":
        return "sed -i '1i [[ $- == *i* ]] || return' ~/.bashrc"
    if kind == "zsh":
        return "cat ~/.zshenv    # what is for people belongs into ~/.zshrc"
    if kind == "fish":
        return "cat ~/.config/fish/config.fish    # what is for people belongs inside `if status is-interactive`"
    return f"{shell} -xc :"


def ledger(fact: Fact) -> Check:
    """Whether the host's database of jobs is sound."""
    if fact["trouble"]:
        return Check("ledger", "failed", fact["trouble"]["says"], fact["trouble"]["mend"])
    if not fact["bytes"]:
        return Check("ledger", "ok", "no job yet")
    sound = "sound" if fact["checked"] else "too large to be checked now"
    says = f"{fact['path']}, {size(fact['bytes'])}, {sound}"
    if fact.get("broken"):
        says += f"; made anew after damage, and what was damaged is still kept ({len(fact['broken'])})"
        files = [path + end for path in fact["broken"] if not path.endswith("-wal") for end in ("", "-wal")]
        return Check("ledger", "warning", says, f"rm -f {shlex.join(files)}")
    return Check("ledger", "ok", says)


def machine(fact: Fact) -> Check:
    """Whether the ledger is this machine's, or came with a copied disk."""
    if fact["ours"]:
        return Check("machine", "ok", "the jobs here are this machine's own")
    says = "this disk was copied from another machine, which may run the same jobs: those that are pending wait"
    return Check("machine", "warning", says, fact["mend"], safe=True)


def restart(fact: Fact) -> Check:
    """Whether jobs that wait go on by themselves when the host has restarted."""
    if fact["scheduled"]:
        return Check("restart", "ok", "jobs that wait go on after a restart (cron)")
    if fact["systemd"] and fact["lingers"]:
        soon = "" if fact["prepared"] else ", once the first job has run"
        return Check("restart", "ok", f"jobs that wait go on after a restart (systemd{soon})")
    says = "after a restart, jobs that wait go on with the next command, or when you log in: linger is off"
    if fact["systemd"]:
        return Check("restart", "warning", says, f"sudo loginctl enable-linger {fact['user']}", safe=True)
    says = "after a restart, jobs that wait go on with the next command"
    if fact["cron"]:
        line = shlex.quote(f"@reboot {fact['command']}")
        return Check("restart", "warning", says, f"(crontab -l 2>/dev/null; echo {line}) | crontab -")
    return Check("restart", "ok", f"{says}: there is neither systemd for you nor cron")


def clock(now: float, asked: float, told: float) -> Check:
    """Whether the host's clock, read some time between ``asked`` and ``told``, agrees with ours."""
    off = min(0.0, now - asked) + max(0.0, now - told)
    if abs(off) <= CLOCK_SECONDS:
        return Check("clock", "ok", f"within {max(1.0, told - asked):.0f} s of this machine's")
    says = f"{_span(abs(off))} {'ahead of' if off > 0 else 'behind'} this machine's"
    return Check("clock", "warning", says, "sudo timedatectl set-ntp true")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def size(count: int) -> str:
    """``5.8GB``; 2^30 bytes are 1.0GB."""
    return f"{count / (1 << 30):.1f}GB" if count >= 1 << 30 else f"{count / (1 << 20):.1f}MB"


_JUDGES: Sequence[tuple[str, str, Callable[[Fact], Check]]] = (
    ("agent", "agents", agent),
    ("python", "python", python),
    ("tmux", "tmux", tmux),
    ("shell", "shell", shell),
    ("logout", "login", logout),
    ("directory", "places", directory),
    ("disk", "places", disk),
    ("ledger", "ledger", ledger),
    ("machine", "machine", machine),
    ("restart", "restart", restart),
    ("memory", "memory", memory),
)
