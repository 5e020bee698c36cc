"""A Slurm cluster of one machine, beside orch: nothing of it is left when it has been used.

Needs root and ``apt-get install --no-install-recommends slurm-wlm munge``. It is set to start jobs as fast as it can:
no database, no control groups, no pause between two rounds of scheduling, and more room than there are jobs at once.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.agent import eventually
from tests.support.root import Held

SLOTS = 64
"""Jobs that may run at once; fewer made it slower on two processors, more no faster."""
_LOOK = 0.2
"""Seconds between two looks at the queue: asking more often would slow it down."""
_PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "unshare")
_CONF = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket,cred_expire=5
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
MaxJobCount=20000
MaxArraySize=20000
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,sched_interval=1,batch_sched_delay=0,bf_interval=5,defer
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName=here NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={slots} RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=here Default=YES State=UP
"""
_SERVE = """\
read -r pid _ </proc/self/stat
mount -t proc proc /proc
echo "$pid"
exec >daemons.log 2>&1
munged --force --foreground --socket "$PWD/munge.socket" --key-file "$PWD/munge.key" \
    --pid-file "$PWD/munged.pid" --log-file "$PWD/munged.log" --seed-file "$PWD/munged.seed" </dev/null &
until munge --socket "$PWD/munge.socket" --no-input >/dev/null 2>&1; do sleep 0.02; done
slurmctld -D </dev/null &
slurmd -D -N here </dev/null &
exec cat
"""
"""In namespaces of its own, so that whatever it starts ends with it."""


def missing() -> str:
    """What stands in the way of it here, in words; nothing where it can run."""
    if os.getuid() != 0:
        return "needs root"
    lacks = [program for program in _PROGRAMS if not shutil.which(program, path=_PATH)]
    return f"there is no {', '.join(lacks)}" if lacks else ""


class Cluster:
    """One that is up."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # Jobs inherit the home: what the person's own profile does for each login shell is none of Slurm's.
        self.env = {**os.environ, "PATH": _PATH, "HOME": str(home), "SLURM_CONF": str(home / "slurm.conf")}

    def said(self, *words: str) -> str:
        """What a command of Slurm's says."""
        return subprocess.run(words, env=self.env, capture_output=True, text=True, check=True, timeout=60).stdout

    def drain(self, jobs: int, command: str) -> float:
        """Submit that many as one array; jobs a second from there to the last end. Each writes a log."""
        logs = self.home / f"logs-{time.monotonic_ns()}"
        logs.mkdir()
        began = time.monotonic()
        array = ["--parsable", f"--array=0-{jobs - 1}", f"--output={logs}/%a.log", "--wrap", command]
        job = self.said("sbatch", *array).strip()
        while self.said("squeue", "--noheader", "--jobs", job):
            time.sleep(_LOOK)  # a look costs what a tenth of a job does
        took = time.monotonic() - began
        ran = sum(1 for _ in logs.iterdir())
        assert ran == jobs, f"{ran} of {jobs} have a log"
        return jobs / took


@contextmanager
def cluster(home: Path) -> Iterator[Cluster]:
    """One in a directory that is there and empty."""
    for name in ("state", "spool"):
        (home / name).mkdir()
    key = home / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    settings = {"host": socket.gethostname(), "home": home, "ports": _free_ports(2), "slots": SLOTS}
    (home / "slurm.conf").write_text(_CONF.format(**settings))
    (home / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
    one = Cluster(home)
    own = ("unshare", "--fork", "--pid", "--mount", "--kill-child", "env", f"--chdir={home}")
    held = Held(*own, f"PATH={_PATH}", f"SLURM_CONF={home}/slurm.conf", "sh", "-c", _SERVE)
    try:
        eventually(lambda: _is_up(one), "Slurm is up")
        yield one
    finally:
        held.kill()


def _is_up(one: Cluster) -> bool:
    try:
        return one.said("sinfo", "--noheader", "--format=%T").strip() == "idle"
    except subprocess.CalledProcessError:
        return False


def _free_ports(count: int) -> list[int]:
    taken = [socket.socket() for _ in range(count)]
    try:
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]
    finally:
        for one in taken:
            one.close()
