"""A forge: real git behind a real sshd, which lets a deploy key into one repository and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.machine import Machine

_SHELL = r"""#!/bin/sh
# What a key may do: shell REPOSITORY ro|rw
repository=${SSH_ORIGINAL_COMMAND#git-*-pack \'}
repository=${repository%\'} repository=${repository#/}
[ "${repository%.git}" = "$1" ] || SSH_ORIGINAL_COMMAND=
case "$SSH_ORIGINAL_COMMAND" in
    git-upload-pack\ *) exec git-upload-pack ~/"$1.git";;
    git-receive-pack\ *)
        [ "$2" = rw ] && exec git-receive-pack ~/"$1.git"
        echo "ERROR: The key you are authenticating with has been marked as read only." >&2
        exit 1;;
esac
echo "ERROR: Repository not found." >&2
exit 1
"""


class Forge(Machine):
    """One with an account ``git``. ``keys`` are the deploy keys of each repository, as its REST API tells them."""

    def __init__(self) -> None:
        super().__init__("forge", user="git")
        self.write("shell", _SHELL, 0o755)
        (self.home / ".ssh/authorized_keys").write_text("")
        self.keys: dict[str, list[dict[str, Any]]] = {}
        self._people: list[tuple[str, str]] = []
        self._next = 1000

    def repository(self, name: str, text: str = "hello\n") -> None:
        """Make one, OWNER/NAME, with a commit."""
        bare = f"{name}.git"
        script = f"git init -q --bare -b main {bare} && git -C {bare} config receive.denyCurrentBranch ignore"
        self.run(f"mkdir -p {Path(bare).parent} && {script}")
        self.commit(name, "README", text)

    def commit(self, name: str, file: str, text: str) -> str:
        """Another commit, as somebody else has pushed it."""
        who = "-c user.name=Me -c user.email=me@example.invalid"
        self.run(
            f"rm -rf w && git clone -q {name}.git w 2>/dev/null && cd w && cat >{file} && git add . && "
            f"git {who} commit -qm {file} && git push -q origin HEAD:main && cd .. && rm -rf w",
            input=text,
        )
        return self.head(name)

    def head(self, name: str) -> str:
        """The newest commit."""
        return self.run(f"git -C {name}.git rev-parse main").stdout.strip()

    # Deploy keys

    def add_key(self, repository: str, key: str, write: bool, title: str = "") -> dict[str, Any]:
        """Take a public half for a repository; as GitHub's answer tells it."""
        self._next += 1
        made = {"id": self._next, "key": " ".join(key.split()[:2]), "title": title, "read_only": not write}
        self.keys.setdefault(repository, []).append(made)
        self._let_in()
        return made

    def delete_key(self, repository: str, number: int) -> bool:
        """Take it away; whether it was there."""
        kept = [one for one in self.keys.get(repository, []) if one["id"] != number]
        was_there = len(kept) < len(self.keys.get(repository, []))
        self.keys[repository] = kept
        self._let_in()
        return was_there

    def let_person_in(self, repository: str, key: str) -> None:
        """Take the public half of somebody who may read and write it, as one of an account: no deploy key."""
        self._people.append((repository, " ".join(key.split()[:2])))
        self._let_in()

    def _let_in(self) -> None:
        lines = [f'restrict,command="/home/git/shell {name} rw" {key}\n' for name, key in self._people]
        lines += [
            f'restrict,command="/home/git/shell {name} {"ro" if one["read_only"] else "rw"}" {one["key"]}\n'
            for name, keys in self.keys.items()
            for one in keys
        ]
        self.write(".ssh/authorized_keys", "".join(lines), 0o600)

    # As which it is known

    def host_key(self) -> str:
        """``TYPE KEY``."""
        return " ".join(self.known_hosts.read_text().split()[1:3])

    def stands_in_for(self, host: str, laptop: Any, *machines: Machine) -> None:
        """Have a laptop's pin for a forge be this one's key, and machines find it under that name."""
        pins = laptop.home / "forge-keys"
        pins.write_text(f"{host} {self.host_key()}\n")
        laptop.env["ORCH_FORGE_KEYS"] = str(pins)
        for machine in machines:
            self.is_found_by(machine, host)

    def is_found_by(self, machine: Machine, host: str) -> None:
        """Have the name lead here, as a resolver and a system's ssh_config can, before the machine boots."""
        place = machine._place
        (place / "etc/hosts").write_text(f"127.0.0.1 localhost {machine.name} {host}\n")
        (place / "etc/ssh/ssh_config").write_text(f"Match host {host}\n    Port {self.port}\n")
