"""Session Manager: a way to a machine's sshd with no open port, through AWS's own plugin."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from orch.errors import OrchError
from orch.ssh.connection import ConnectionFailed
from orch.ssh.door import Way
from orch.transport import LinkDown, Off

from .aws import Aws, code_of, explained
from .machine import Machine, is_young
from .shape import Shape

PLUGIN = "session-manager-plugin"
_OLDEST = (1, 2, 764, 0)  # the first that takes the session from its environment
_SESSION = "AWS_SSM_START_SESSION_RESPONSE"
_INSTALL = {
    "darwin": "brew install --cask session-manager-plugin",
    "linux": "https://docs.aws.amazon.com/systems-manager/latest/userguide/install-plugin-linux.html",
}


@contextmanager
def opened(aws: Aws, shape: Shape, machine: Machine) -> Iterator[Way]:
    """A session that ssh is to use; one that it has not used is ended."""
    plugin = check_plugin()
    asked = {
        "Target": machine.id,
        "DocumentName": "AWS-StartSSHSession",
        "Parameters": {"portNumber": ["22"]},
    }
    with explained():
        session = _started(aws, shape, asked, is_young(machine))
    told = {key: session[key] for key in ("SessionId", "StreamUrl", "TokenValue")}
    endpoint = aws.client("ssm").meta.endpoint_url
    words = [plugin, _SESSION, aws.region, "StartSession", aws.profile, json.dumps(asked), endpoint]
    command = " ".join(map(_quoted, words))
    try:
        yield Way(["-o", f"ProxyCommand={command}"], {_SESSION: json.dumps(told)})
    except ConnectionFailed:
        with suppress(Exception):  # it ends by itself, later
            aws.client("ssm").terminate_session(SessionId=session["SessionId"])
        raise


def _started(aws: Aws, shape: Shape, asked: dict[str, Any], young: bool) -> dict[str, Any]:
    try:
        session: dict[str, Any] = aws.client("ssm").start_session(**asked)
    except Exception as error:
        if code_of(error) != "TargetNotConnected":
            raise
        if young:
            raise Off(shape.name, "starting", why="Session Manager does not reach it yet") from None
        says = f"{shape.name} runs, and Session Manager does not reach it"
        raise LinkDown(says, 'does its subnet reach the internet? Or: access = "ssh"; orch up') from None
    return session


def _quoted(word: str) -> str:
    """For the shell that runs a ProxyCommand, past ssh, which reads % itself."""
    import shlex

    return shlex.quote(word).replace("%", "%%")


def check_plugin() -> str:
    """The path of Session Manager's plugin, which must be new enough."""
    found = shutil.which(PLUGIN)
    hint = _INSTALL.get(sys.platform, _INSTALL["linux"]) + '\nor, with an open port for your address: access = "ssh"'
    if found is None:
        raise OrchError("refused", f"{PLUGIN} is not installed on this machine", hint)
    try:
        said = subprocess.run([found, "--version"], stdin=-3, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        said = "no version"
    numbers = tuple(map(int, re.findall(r"\d+", said)))
    if numbers < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise OrchError("refused", f"{PLUGIN} is too old: {said}, and {oldest} is needed", hint)
    return found
