"""What a machine at Amazon finds there: AWS's command line, cfn-signal, the CloudWatch agent, a systemd of sorts.

The programs hand their words to the cloud, which does what they ask with the rights of the machine's role.
``systemctl`` and the timers are shell: they need to know nothing of AWS.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.ec2.awscli import aws
from tests.support.ec2.instance import USER, Instance
from tests.support.ec2.shipper import Shipper
from tests.support.ec2.wire import Refusal

if TYPE_CHECKING:
    from tests.support.ec2.cloud import Cloud

_HERE = Path(__file__).parent / "inside"
_PLACES = {
    "aws": "/usr/bin/aws",
    "cfn-signal": "/opt/aws/bin/cfn-signal",
    "amazon-cloudwatch-agent-ctl": "/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl",
    "sudo": "/usr/bin/sudo",
    "imitated-poweroff": "/usr/local/sbin/imitated-poweroff",
    "imitated-metadata": "/usr/local/sbin/imitated-metadata",
}


class MachineSide:
    """Everything that machines ask the cloud, without a signature."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._shippers: dict[str, Shipper] = {}
        self._threads: list[threading.Thread] = []

    def prepare(self, machine: Instance) -> None:
        """Put the programs on a new machine's disk."""
        ask = (_HERE / "ask.py").read_text().replace("URL", f"{self._cloud.url}/machine/{machine.model.id}")
        for place in _PLACES.values():
            machine.install(place, ask)
        for file in (_HERE / "sh").iterdir():
            place = "/usr/local/sbin" if file.name.startswith("imitated-") else "/usr/bin"
            machine.install(f"{place}/{file.name}", file.read_text())
        machine.install("/etc/sudoers.d/90-cloud-init-users", f"{USER} ALL=(ALL) NOPASSWD:ALL\n")
        for program, lines in self._cloud.broken.items():
            machine.install(f"/usr/bin/{program}", f"#!/bin/sh\n{lines}\n")
        machine.before_off = lambda: self._flush(machine)
        machine.prepared = True

    def close(self) -> None:
        """Nothing is shipped any more."""
        for thread in self._threads:
            thread.join()
        for shipper in self._shippers.values():
            shipper.close()

    def asked(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """A program on a machine has been called: its status and what it prints."""
        _, _, name, program = path.split("/")
        machine, words = self._cloud.fleet[name], asked["words"]
        if program == "sudo":
            return _sudo(machine, words, asked["input"])
        handler = getattr(self, "_" + program.removeprefix("imitated-").replace("-", "_"))
        try:
            said = handler(machine, words)
        except Refusal as error:
            return {"status": 254, "out": "", "err": f"\nAn error occurred ({error.code}): {error.message}\n"}
        except ValueError as error:
            return {"status": 252, "out": "", "err": f"{program}: {error}\n"}
        return {"status": 0, "out": said, "err": ""}

    def _aws(self, machine: Instance, words: list[str]) -> str:
        return aws(lambda service: self._cloud.as_machine(machine, service), words)

    def _cfn_signal(self, machine: Instance, words: list[str]) -> str:
        given = _options(words, {"-e": "--exit-code", "-s": "--success", "-r": "--reason"})
        success = given.get("--exit-code", "0") == "0" and given.get("--success", "true") == "true"
        self._cloud.calls.append((machine.model.id, "cloudformation:SignalResource"))
        self._cloud.stacks.signal(given["--stack"], given["--resource"], success)
        return ""

    def _amazon_cloudwatch_agent_ctl(self, machine: Instance, words: list[str]) -> str:
        given = _options(words, {"-a": "-a", "-c": "-c", "-m": "-m"}, flags=("-s",))
        if given.get("-a") == "fetch-config":
            file = given["-c"].removeprefix("file:")
            config = json.loads(machine.run(f"cat {file}", user="root").stdout)
            if machine.model.id in self._shippers:
                self._shippers[machine.model.id].close()
            self._shippers[machine.model.id] = Shipper(machine, self._cloud.as_machine(machine, "logs"), config)
        return ""

    def _flush(self, machine: Instance) -> None:
        if machine.model.id in self._shippers:
            self._shippers[machine.model.id].ship()

    def _poweroff(self, machine: Instance, words: list[str]) -> str:
        thread = threading.Thread(target=self._cloud.fleet.powered_off, args=[machine], daemon=True)
        self._threads.append(thread)
        thread.start()
        return ""

    def _metadata(self, machine: Instance, words: list[str]) -> str:
        """The instance metadata service: only what needs no token is left out."""
        model = machine.model
        known = {
            "instance-id": model.id,
            "instance-type": model.instance_type,
            "placement/region": model.region_name,
            "placement/availability-zone": model.availability_zone,
            "local-ipv4": model.private_ip_address,
            "ami-id": model.image_id,
        }
        [path] = words
        leaf = path.partition("/latest/")[2]
        if leaf == "api/token":
            return "a-token"
        name = leaf.removeprefix("meta-data/")
        if name not in known:
            raise ValueError(f"404 - {path}")
        return str(known[name])


def _sudo(machine: Instance, words: list[str], said: str) -> dict[str, Any]:
    """The account may be root, without a password."""
    argv = list(itertools.dropwhile(lambda word: word in ("-n", "-E", "--"), words))
    done = subprocess.run(machine.inside(argv, "root"), input=said, capture_output=True, text=True, timeout=60)
    return {"status": done.returncode, "out": done.stdout, "err": done.stderr}


def _options(words: list[str], short: dict[str, str], flags: tuple[str, ...] = ()) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word not in flags:
            found[short.get(name, name)] = value if equals else next(rest, "")
    return found
