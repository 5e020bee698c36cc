"""What is written on a new machine's disk: its accounts, its Python, its sshd's configuration."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

PASSWORD = "correct horse"
_HASH = "$6$orch$4wJ8ksck7gqNourXdpZezZWdbi3kursdaZuLxIr1IBhQyDIrOhA50YK79wnzNeUcsNYbYXQGtV3aXSJFpKUGo/"
# Root's tests give the account a uid of its own; others' tests their own, so that they can read and write its home.
UID, GID = (os.getuid(), os.getgid()) if os.getuid() else (2001, 2001)


def add_accounts(etc: Path, shell: str, user: str) -> None:
    """``user``, whose password is PASSWORD and whose login shell is ``shell``, and those that sshd needs."""
    path = shutil.which(shell)
    assert path, f"no {shell} here"
    nobody = "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
    sshd = "sshd:x:102:65534::/run/sshd:/usr/sbin/nologin\n"
    person = f"{user}:x:{UID}:{GID}:Me:/home/{user}:{path}\n"
    (etc / "passwd").write_text(f"root:x:0:0:root:/root:/bin/bash\n{nobody}{sshd}{person}")
    (etc / "shadow").write_text(f"root:*:::::::\nnobody:*:::::::\nsshd:!:::::::\n{user}:{_HASH}:19000::::::\n")
    (etc / "group").write_text(f"root:x:0:\ntty:x:5:\nnogroup:x:65534:\n{user}:x:{GID}:\n")


def add_python(bin_: Path, python: str) -> str:
    """Make ``python3`` this interpreter; the directory that it is installed under."""
    prefix, program = _installation(python)
    (bin_ / "python3").symlink_to(program)
    return prefix


@functools.cache
def _installation(python: str) -> tuple[str, str]:
    """Where an interpreter is installed, and the interpreter itself: behind virtual environments and links."""
    script = "import os, sys; print(sys.base_prefix); print(os.path.realpath(sys._base_executable))"
    said = subprocess.run([python, "-I", "-c", script], check=True, capture_output=True, text=True).stdout
    prefix, program = said.splitlines()
    return prefix, program


def sshd_config(address: str, passwords: bool, lines: Iterable[str]) -> str:
    """The text of sshd_config; ``lines`` come first, and the first value counts."""
    own = (
        f"ListenAddress {address}",
        "HostKey /etc/ssh/ssh_host_ed25519_key",
        "UsePAM no",
        f"PasswordAuthentication {'yes' if passwords else 'no'}",
        "KbdInteractiveAuthentication no",
        "LogLevel VERBOSE",  # which tells of sessions
        "PrintMotd no",
        "PrintLastLog no",
        "AcceptEnv LANG LC_*",
    )
    given = list(lines)
    if not any(line.startswith("Subsystem") for line in given):  # which may be there but once
        given.append("Subsystem sftp internal-sftp")
    return "\n".join([*given, *own, ""])


def wrong_clock(seconds: int) -> str:
    """A line of sshd_config that puts the clock of all that is run through ssh forward."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert libraries, "no libfaketime here"
    return f"SetEnv LD_PRELOAD={libraries[0]} FAKETIME={seconds:+d} FAKETIME_DONT_FAKE_MONOTONIC=1"
