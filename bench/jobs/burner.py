"""Burn processor time in children that are waited for, one that is not, and one that is nobody's; then say how much.

usage: burner.py DIRECTORY: each process writes what the kernel says it used, in seconds, to a file there.
"""

import os
import resource
import sys
import time


def burn(seconds: float) -> None:
    """Use the processor for so long."""
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass


def tell(name: str) -> None:
    """Write down what this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open(os.path.join(sys.argv[1], name), "w") as file:
        file.write(str(used.ru_utime + used.ru_stime))


def child(name: str, seconds: float, detached: bool) -> int:
    """Burn in a child, or in a grandchild that leaves the session; the child's pid."""
    pid = os.fork()
    if pid == 0:
        if detached:
            os.setsid()
            if os.fork():
                os._exit(0)
        burn(seconds)
        tell(name)
        os._exit(0)
    return pid


waited = [child(f"waited{number}", 0.3, False) for number in range(3)]
child("never-waited-for", 0.3, False)
os.waitpid(child("detached", 0.3, True), 0)
for pid in waited:
    os.waitpid(pid, 0)
burn(0.2)
time.sleep(1)
tell("parent")
