#!/usr/bin/python3 -I
"""orch-idle: stops this machine once nothing has gone on for as long as /etc/orch/idle_stop says. Root's timer runs it.

Invariants
- Busy is the kernel's word, never processor time: a held lock of a job or the supervisor, keys typed at a terminal,
  a command that somebody has sent through ssh. orch's agent is asked too, but a broken agent keeps no machine for good.
- It is idle since the latest sign of use, and never for longer than somebody has looked: a boot, a resume, a leap of
  the clock begin anew. A machine that was never made ready stops as well.
- Why is written down before, and it is looked once more after that. A log that cannot be reached stops no stop.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import re
import subprocess
import time
from typing import Any, Optional

USER, HOME = "ec2-user", "/home/ec2-user"
HOST, LIMIT, READY = "/etc/orch/host", "/etc/orch/idle_stop", "/etc/orch/ready"
LOOKED, USED, LOG = "/run/orch-looked", "/run/orch-used", "/var/log/orch-idle.log"
TERMINALS, LOGINS = "/dev/pts/[0-9]*", "/var/log/wtmp"
OWN = r"/\.orch/agent|=orch="  # on the command line of what orch itself runs through ssh
POWEROFF = ["systemctl", "poweroff"]
DEFAULT, UNREADY = 1800, 1800  # seconds: where the file says nothing; before the machine was made ready, at least
BLIND = 300  # seconds between two looks after which nobody knows what was between them
DOUBT = 3600  # seconds for which the agent's word holds, where the kernel has seen nothing
PATIENCE = 15  # seconds that the agent, or CloudWatch, may take

Processes = dict[int, tuple[int, str, int, str]]
"""Of every process: its parent, name, terminal (0: none), command line."""


def main() -> None:
    """Look once; stop the machine if it is time."""
    limit, idle = idle_limit(), idle_seconds()
    if not limit or idle < limit:
        return
    note("stopped", "%s idle" % in_words(idle))
    if idle_seconds() < limit or not agent_closes():
        note("stays", "somebody came")
        return
    subprocess.run(POWEROFF, check=True)


def idle_limit() -> int:
    """Seconds after which it stops; 0 for never."""
    said = text_of(LIMIT).strip()
    seconds = int(said) if re.fullmatch("[0-9]{1,9}", said) else DEFAULT
    return seconds if os.path.exists(READY) else max(seconds, UNREADY)


def idle_seconds() -> float:
    """For how long nothing has gone on, as far as anybody has looked."""
    now = time.time()
    gap = now - (changed(LOOKED) or 0.0)
    touch(LOOKED)
    if locks_held() or commands() or not 0 <= gap < BLIND:
        touch(USED)
        return 0.0
    signs = [USED, READY, LOGINS, HOME + "/.orch/used"]
    stamps = [changed(path) for path in signs] + [typed_at(path) for path in glob.glob(TERMINALS)]
    stamps.append(now - time.clock_gettime(time.CLOCK_BOOTTIME))
    idle = now - max(at for at in stamps if at is not None and at <= now)
    said = ask_agent("idle") if idle < idle_limit() + DOUBT else {}
    if said.get("busy"):
        return 0.0
    since = said.get("idle_seconds")
    return min(idle, since) if isinstance(since, (int, float)) and since >= 0 else idle


def locks_held() -> bool:
    """Whether a job lives, or the supervisor: the locks are probed as the agent does, and never made."""
    return any(map(is_held, glob.glob(HOME + "/.orch/live/*.lock") + glob.glob(HOME + "/.orch/live/*.adopt")))


def is_held(path: str) -> bool:
    """Whether somebody holds the lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(fd)


def commands() -> list[int]:
    """What runs below sshd without a terminal, but orch's own: an agent that somebody asks is no use by itself."""
    table = processes()
    return [pid for pid in table if is_command(pid, table)]


def is_command(pid: int, table: Processes) -> bool:
    """Whether a process is one that keeps the machine."""
    parent, name, terminal, words = table[pid]
    if name.startswith("sshd"):
        return "@internal-sftp" in words
    while parent in table and not (terminal or re.search(OWN, words)):
        parent, name, terminal, words = table[parent]
        if name.startswith("sshd"):
            return True
    return False


def processes() -> Processes:
    """All that there are."""
    found: Processes = {}
    for entry in glob.glob("/proc/[0-9]*"):
        name, _, fields = text_of(entry + "/stat").partition("(")[2].rpartition(")")
        if fields:
            state, parent, _, _, terminal = fields.split()[:5]
            if state != "Z":
                found[int(entry[6:])] = int(parent), name, int(terminal), text_of(entry + "/cmdline")
    return found


def agent_closes() -> bool:
    """Whether the agent takes no more jobs, and has none; one that is missing or ill has no say."""
    asked = json.dumps({"v": 1, "why": "is about to stop, for it was idle", "seconds": 120})
    return not ask_agent("close", asked.encode().hex()).get("names")


def ask_agent(*verb: str) -> dict[str, Any]:
    """What orch's agent says, asked as its owner; nothing where it is missing or ill."""
    agent = HOME + "/.orch/agent"
    if not os.path.exists(agent):
        return {}
    # It may have to start a supervisor, which the person's systemd is to keep: ours would end it with us.
    env = {"PATH": os.environ.get("PATH", os.defpath), "XDG_RUNTIME_DIR": "/run/user/%d" % os.stat(HOME).st_uid}
    words = ["runuser", "-u", USER, "--", "timeout", str(PATIENCE), "python3", "-I", "-S", agent, *verb]
    try:
        done = subprocess.run(words, env=env, cwd="/", stdin=-3, stdout=-1, stderr=-3, timeout=2 * PATIENCE)
        said = json.loads(done.stdout) if done.returncode == 0 else {}
    except Exception:  # whatever it is that is wrong with it
        return {}
    return said if isinstance(said, dict) else {}


def note(event: str, why: str) -> None:
    """Write down what happens: here, and where it can be read once the machine is off."""
    at = time.time()
    line = json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)), "event": event, "why": why})
    try:
        with open(LOG, "a") as file:
            file.write(line + "\n")
    except OSError:
        pass  # a full disk
    host = dict(one.split("=", 1) for one in text_of(HOST).splitlines() if "=" in one)
    stream = [
        "--log-group-name",
        host.get("log_group", ""),
        "--log-stream-name",
        host.get("instance_id", "") + "/machine",
    ]
    put = ["put-log-events", *stream, "--log-events", json.dumps([{"timestamp": int(at * 1000), "message": line}])]
    logs = ["aws", "--region", host.get("region", ""), "logs"]
    if not runs(logs + put):
        runs([*logs, "create-log-stream", *stream])
        runs(logs + put)


def runs(words: list[str]) -> bool:
    """Whether a command succeeds, soon."""
    try:
        return subprocess.run(words, stdin=-3, stdout=-3, timeout=PATIENCE).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def in_words(seconds: float) -> str:
    """As a person says it: 45 s, 30 min, 2 h."""
    if seconds < 120:
        return "%d s" % seconds
    return "%d min" % (seconds // 60) if seconds < 7200 else "%.3g h" % (seconds // 360 / 10)


def text_of(path: str) -> str:
    """What is in a file; nothing where there is none."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def changed(path: str) -> Optional[float]:
    """When a file was changed last; None where there is none."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def typed_at(path: str) -> Optional[float]:
    """When somebody typed at a terminal last, or opened it; None where it has gone."""
    try:
        return os.stat(path).st_atime
    except OSError:
        return None


def touch(path: str) -> None:
    """Set a file's time to now."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    os.utime(path)


if __name__ == "__main__":
    main()
