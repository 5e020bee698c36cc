"""Session Manager and keys: what happens on the laptop, with a program in the place of AWS's plugin."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.stub import Stubber

from orch.errors import OrchError
from orch.providers.ec2 import keys, session
from orch.providers.ec2.aws import Aws
from orch.providers.ec2.machine import Machine
from orch.providers.ec2.shape import Shape
from orch.ssh.connection import ConnectionFailed
from orch.transport import LinkDown
from tests.support import mockaws
from tests.support.agent import eventually

pytestmark = pytest.mark.usefixtures("runtime")
SHAPE = Shape("cloud", "ap-northeast-1")
MACHINE = Machine("i-1", "running", "t3.2xlarge", "x86_64", "a", "s", None, None, 0.0, 1, "v", ("sg-1",), "", {})
ASKED = {"Target": "i-1", "DocumentName": "AWS-StartSSHSession", "Parameters": {"portNumber": ["22"]}}
SESSION = {"SessionId": "me-1", "TokenValue": "secret", "StreamUrl": "wss://ssmmessages"}


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place for sockets, whose paths have a limit."""
    with tempfile.TemporaryDirectory(prefix="o-", dir="/tmp") as directory:
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        yield


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs, before all others, with the plugin in it."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    put(tmp_path, "1.2.764.0")
    return tmp_path


def put(directory: Path, version: str) -> None:
    program = directory / session.PLUGIN
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mockaws.nobody() as aws:
        yield aws


@pytest.fixture
def stub(aws: Aws) -> Iterator[Stubber]:
    with mockaws.stubbed(aws, "ssm") as stub:
        yield stub


def test_the_token_is_in_the_environment_and_on_no_command_line(aws: Aws, stub: Stubber, plugin: Path) -> None:
    stub.add_response("start_session", SESSION, ASKED)
    with session.opened(aws, SHAPE, MACHINE) as way:
        option, command = way.words
        assert option == "-o"
        assert "secret" not in command
        assert json.loads(way.env["AWS_SSM_START_SESSION_RESPONSE"]) == SESSION
        words = subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {command.removeprefix('ProxyCommand=')}"], capture_output=True, text=True
        ).stdout.splitlines()
    assert words[:4] == [str(plugin / session.PLUGIN), "AWS_SSM_START_SESSION_RESPONSE", aws.region, "StartSession"]
    assert json.loads(words[5]) == ASKED


def test_a_session_that_ssh_did_not_use_is_ended(aws: Aws, stub: Stubber, plugin: Path) -> None:
    stub.add_response("start_session", SESSION, ASKED)
    stub.add_response("terminate_session", {"SessionId": "me-1"}, {"SessionId": "me-1"})
    with pytest.raises(ConnectionFailed), session.opened(aws, SHAPE, MACHINE):
        raise ConnectionFailed("no")


def test_a_machine_that_is_not_reached_yet_may_be_soon(aws: Aws, stub: Stubber, plugin: Path) -> None:
    stub.add_client_error("start_session", "TargetNotConnected", "i-1 is not connected.")
    with pytest.raises(LinkDown, match="Session Manager does not reach it"), session.opened(aws, SHAPE, MACHINE):
        pass


def test_no_session_is_begun_without_a_plugin(aws: Aws, stub: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OrchError, match="not installed") as missing, session.opened(aws, SHAPE, MACHINE):
        pass
    assert 'access = "ssh"' in missing.value.hint


@pytest.mark.parametrize("version", ["1.2.707.0", "1.1.0.0", "nonsense"])
def test_an_old_plugin_is_told_of(plugin: Path, version: str) -> None:
    put(plugin, version)
    with pytest.raises(OrchError, match=r"too old.*1\.2\.764\.0 is needed"):
        session.check_plugin()


def test_a_key_is_in_an_agent_of_its_own_and_nowhere_else(tmp_path: Path) -> None:
    private, public = keys.make()
    with keys.held(private) as socket:
        assert stat.S_ISSOCK(os.stat(socket).st_mode)
        assert os.stat(os.path.dirname(socket)).st_mode & 0o077 == 0
        listed = subprocess.run(["ssh-add", "-L"], env={**os.environ, "SSH_AUTH_SOCK": socket}, capture_output=True)
        assert listed.stdout.decode().split()[:2] == public.split()[:2]
    assert not os.path.exists(socket)
    body = private.splitlines()[3]
    assert not [path for path in tmp_path.parent.rglob("*") if path.is_file() and body in path.read_text("latin-1")]


def test_the_agent_ends_with_the_key(tmp_path: Path) -> None:
    with keys.held(keys.make()[0]) as socket:
        [pid] = pids(socket)
    eventually(lambda: not pids(socket), f"the agent {pid} has ended")


def pids(socket: str) -> list[int]:
    """The agents that listen there."""
    found = []
    for one in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == b"ssh-agent" and os.fsencode(socket) in words:
            found.append(int(one))
    return found


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(OrchError, match="does not take a key"), keys.held("nonsense"):
        pass
