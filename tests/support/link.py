"""Two network namespaces and a link between them that can really be taken down.

    near:  near0 ==veth== near0b --bridge0-- far0b ==veth, or two TAP devices and a delay== far0  :far

Invariants
- A cut takes the bridge down: both ends keep their carrier, their routes and their neighbour's address, so that what
  they send vanishes without a word. Unplugging takes the near end down: there is no route any more.
- Nothing has a name outside: the namespaces live in two processes and go with them, also when the tests die.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.root import SUDO, Held, as_root


class Link:
    """A link, up. ``delay`` is one way, in seconds; ``beside`` another link with the same near end."""

    def __init__(self, delay: float = 0.0, beside: Link | None = None) -> None:
        self._number = beside._number + 1 if beside else 0
        self._near = beside._near if beside else _our_namespace()
        self._far = _namespace()
        self._held = [self._far] if beside else [self._far, self._near]
        self.near, self.far = f"10.77.{self._number}.1", f"10.77.{self._number}.2"
        self._bridge, self._near0 = f"bridge{self._number}", f"near{self._number}"
        self._lay(delay)
        self._give_address(self._near, self._near0, self.near)
        self._give_address(self._far, "far0", self.far)
        self.mend()
        self.far_end_up()

    def _lay(self, delay: float) -> None:
        inner, outer = self._near0 + "b", f"far{self._number}b"
        self._ip(
            self._near, f"link add {self._near0} type veth peer name {inner}", f"link add {self._bridge} type bridge"
        )
        if delay:
            program = Path(__file__).with_name("delay.py")
            ends = (f"{self._near.pid}", outer, f"{self._far.pid}", "far0")
            self._held.insert(0, Held(sys.executable, "-I", str(program), *ends, str(delay)))
        else:
            self._ip(self._near, f"link add {outer} type veth peer name far0 netns {self._far.pid}")
        for port in (inner, outer):
            self._ip(self._near, f"link set {port} master {self._bridge}", f"link set {port} up")

    def _give_address(self, namespace: Held, device: str, address: str) -> None:
        self._ip(namespace, f"link set {device} address {_mac(address)}", f"addr add {address}/24 dev {device}")

    def _ip(self, namespace: Held, *commands: str) -> None:
        as_root(*_in(namespace), "ip", "-batch", "-", input="\n".join(commands))

    def here(self, argv: Iterable[str]) -> list[str]:
        """What to run so that ``argv`` runs at the near end."""
        ours = ["--preserve-credentials", f"--user=/proc/{self._near.pid}/ns/user"] if SUDO else []
        return [*_in(self._near), *ours, *argv]

    def there(self, argv: Iterable[str]) -> list[str]:
        """What root has to run so that ``argv`` runs at the far end."""
        return [*_in(self._far), *argv]

    def cut(self) -> None:
        """From now on whatever is sent, from either end, vanishes."""
        self._ip(self._near, f"link set {self._bridge} down")

    def unplug(self) -> None:
        """From now on the far end is unreachable from here, and what comes from there vanishes."""
        self._ip(self._near, f"link set {self._near0} down")

    def mend(self) -> None:
        """Undo a cut and an unplugging."""
        self._ip(self._near, f"link set {self._bridge} up", *self._up(self._near0, self.far))

    def far_end_down(self) -> None:
        """Nothing reaches the far end or leaves it: no power there."""
        self._ip(self._far, "link set far0 down")

    def far_end_up(self) -> None:
        """There is power again."""
        self._ip(self._far, *self._up("far0", self.near))

    def forget_connections(self) -> None:
        """The far end knows of no connection any more, as after a power cut."""
        as_root(*_in(self._far), "ss", "--kill", "--tcp", "state", "all")

    def _up(self, device: str, neighbour: str) -> tuple[str, str]:
        """That the neighbour's address need not be asked for makes a cut silent."""
        permanent = f"neigh replace {neighbour} lladdr {_mac(neighbour)} dev {device} nud permanent"
        return f"link set {device} up", permanent

    def close(self) -> None:
        """Away with it."""
        for one in self._held:
            one.release()


def _namespace() -> Held:
    return Held("unshare", "--net", "sh", "-c", "ip link set lo up; echo $$; exec cat")


def _our_namespace() -> Held:
    """One that we may enter: where we are not root, it is in a user namespace that is ours, with everybody's ids."""
    if not SUDO:
        return _namespace()
    become = ["setpriv", f"--reuid={os.getuid()}", f"--regid={os.getgid()}", "--clear-groups"]
    may = ["--inh-caps=+sys_admin", "--ambient-caps=+sys_admin"]  # some systems let only those make user namespaces
    made = Held(*become, *may, "unshare", "--user", "--net", "sh", "-c", "echo $$; exec cat")
    for ids in ("uid", "gid"):
        as_root("tee", f"/proc/{made.pid}/{ids}_map", input="0 0 4294967295")
    as_root(*_in(made), "ip", "link", "set", "lo", "up")
    return made


def _in(namespace: Held) -> list[str]:
    return ["nsenter", f"--net=/proc/{namespace.pid}/ns/net"]


def _mac(address: str) -> str:
    return "02:00:" + ":".join(f"{int(byte):02x}" for byte in address.split("."))
