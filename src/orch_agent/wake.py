"""After a restart of the host: the supervisor is started if anything is to be done.

Where the person has a systemd manager of their own, a unit of theirs calls this when the host comes up, and linger lets
that happen before they log in. A codespace calls it after its start. Elsewhere whoever asks anything next does so.
"""

from __future__ import annotations

import os
import shlex
import sys
import zlib

from . import codespace, endlog, files, layout, supervision
from .launch import detach
from .ledger import open_ledger

_UNIT = """\
[Unit]
Description=orch: jobs that wait go on after a restart

[Service]
Type=oneshot
KillMode=process
%sExecStart=%s

[Install]
WantedBy=default.target
"""
_SCRIPT = """\
#!/bin/sh
# Called when this codespace starts: what waits goes on, and it is stopped again once nothing goes on.
ORCH_HOME=%s
ORCH_CODESPACE=${CODESPACE_NAME:-%s}
export ORCH_HOME ORCH_CODESPACE
agent="$ORCH_HOME/agent"
[ -e "$agent/__main__.py" ] || agent=%s
python="$agent/python"
[ -x "$python" ] || python=python3
exec "$python" -I -S "$agent" wake
"""


def main() -> None:
    """Start the supervisor, if anything is pending, running, due or to be told; in a codespace, its watch."""
    detach.AGENT = os.path.realpath(detach.AGENT)  # a link that may lead elsewhere tomorrow
    supervision.ensure_vigil()
    if not os.path.exists(layout.ledger()):
        return
    with open_ledger() as ledger:
        has_work = ledger.is_busy() or endlog.is_behind(ledger)
    if has_work:
        supervision.ensure()


def command() -> str:
    """What calls ``wake``, as a line for a shell."""
    home = os.environ.get("ORCH_HOME")
    setting = "ORCH_HOME=%s " % shlex.quote(home) if home else ""
    return setting + shlex.join(_words())


def prepare() -> None:
    """Have systemd call it, where that can be had; the unit names the agent that prepared it last.

    In a codespace there is a script instead, for the ``postStartCommand`` of its devcontainer.json.
    """
    if codespace.is_here():
        _write_script()
        return
    facts = detach.login()
    if not (facts.systemd and facts.user_bus):
        return
    try:
        _write(unit_file(), unit())
        if not facts.lingers:
            detach.enable_linger()
    except OSError:
        pass  # a home that is full or may not be written: then at the next contact


def _write_script() -> None:
    text = _SCRIPT % tuple(map(shlex.quote, (layout.root(), codespace.name(), detach.AGENT)))
    if files.read_text(layout.wake_script()) != text:
        try:
            files.write_whole(layout.wake_script(), text)
            os.chmod(layout.wake_script(), 0o700)
        except (OSError, UnicodeError):
            pass  # a full disk: with the next supervisor


def is_prepared() -> bool:
    """Whether there is a unit, and it is enabled; in a codespace, the script."""
    if codespace.is_here():
        return os.path.exists(layout.wake_script())
    return os.path.exists(unit_file()) and os.path.exists(_wanted(unit_file()))


def unit_file() -> str:
    """Where the unit is; another ``ORCH_HOME`` has another."""
    home = os.environ.get("ORCH_HOME")
    name = "orch-%08x" % zlib.crc32(os.fsencode(home)) if home else "orch"
    return os.path.join(layout.home(), ".config", "systemd", "user", name + ".service")


def unit() -> str:
    """The text of the unit."""
    home = os.environ.get("ORCH_HOME")
    setting = "Environment=%s\n" % _quoted("ORCH_HOME=" + home) if home else ""
    return _UNIT % (setting, " ".join(map(_quoted, _words())))


def _words() -> list[str]:
    python = os.path.join(detach.AGENT, "python")
    return [python if os.path.exists(python) else sys.executable, "-I", "-S", detach.AGENT, "wake"]


def _quoted(word: str) -> str:
    """As systemd reads a word."""
    return '"%s"' % word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")


def _write(path: str, text: str) -> None:
    if files.read_text(path) != text:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        files.write_whole(path, text)
    link = _wanted(path)
    if not os.path.lexists(link):
        os.makedirs(os.path.dirname(link), mode=0o700, exist_ok=True)
        os.symlink(path, link)  # what `systemctl --user enable` does, without a process


def _wanted(path: str) -> str:
    return os.path.join(os.path.dirname(path), "default.target.wants", os.path.basename(path))
