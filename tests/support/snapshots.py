"""A working tree whose snapshots are made with git itself, and sent to an agent as a laptop sends them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.agent import Agent, Refused

STORE = "lros-4f2a"
LAPTOP = "00aa11bb22cc33dd"
_ME = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Tree:
    """A directory, and the repository that its snapshots are made in."""

    def __init__(self, path: Path, store: str = STORE, laptop: str = LAPTOP) -> None:
        self.path, self.store, self.laptop = path, store, laptop
        path.mkdir()
        self.git("init", "-q")

    def git(self, *words: str, data: bytes = b"") -> bytes:
        """What git says."""
        env = {**os.environ, **_ME, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(
            ["git", "-c", "core.autocrlf=false", *words],
            cwd=self.path,
            env=env,
            input=data,
            capture_output=True,
            check=True,
        ).stdout

    def write(self, name: str, text: str | bytes, mode: int = 0o644) -> None:
        """A file of it."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)

    def take(self) -> str:
        """A snapshot of all that is there, bytes as they are."""
        (self.path / ".git" / "info" / "attributes").write_text("* -text -ident !filter !working-tree-encoding\n")
        self.git("add", "-A", "-f", ".")
        return self.commit(self.git("write-tree").decode().strip())

    def commit(self, tree: str) -> str:
        """The snapshot that has this tree."""
        return self.git("commit-tree", "-m", "snapshot", tree).decode().strip()

    def tree(self, *entries: tuple[str, bytes, str]) -> str:
        """A tree of (mode, name, object), as it is written down, whatever git thinks of it."""
        data = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(one) for mode, name, one in entries)
        return self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", data=data).decode().strip()

    def blob(self, data: bytes) -> str:
        """A file's contents."""
        return self.git("hash-object", "-w", "--stdin", data=data).decode().strip()

    def pack(self, commit: str, base: str | None = None) -> bytes:
        """What is reachable from one, and not from the other."""
        revisions = f"{commit}\n" + (f"^{base}^{{tree}}\n" if base else "")
        return self.git("pack-objects", "-q", "--revs", "--thin", "--stdout", data=revisions.encode())

    def fields(self, commit: str, size: int, base: str | None = None) -> dict[str, Any]:
        """What a laptop says of a pack."""
        said = {"store": self.store, "commit": commit, "base": base}
        return {**said, "size": size, "laptop": self.laptop}

    def code(self, commit: str, *share: str) -> dict[str, Any]:
        """What a specification says of it."""
        return {"store": self.store, "commit": commit, "share": list(share)}

    def send(self, agent: Agent, commit: str, base: str | None = None) -> dict[str, Any]:
        """Bring a snapshot to the host."""
        data = self.pack(commit, base)
        return ask(agent, "receive", {"pack": self.fields(commit, len(data), base)}, data)

    def submit(self, agent: Agent, name: str, command: str, commit: str, *share: str, **spec: Any) -> dict[str, Any]:
        """Submit a job that runs this snapshot, which goes along; the job's view."""
        data = self.pack(commit)
        given = {"name": name, "command": command, "code": self.code(commit, *share), **spec}
        request = {"id": os.urandom(8).hex(), "spec": given, "pack": self.fields(commit, len(data))}
        if "secrets" in spec:
            request["secrets"] = dict.fromkeys(spec["secrets"].values(), "tell nobody")
        job: dict[str, Any] = ask(agent, "submit", request, data)["job"]
        return job


def ask(agent: Agent, verb: str, request: dict[str, Any], payload: bytes = b"") -> dict[str, Any]:
    """The last line of a verb's answer, where ``payload`` follows the request; its refusal is raised."""
    process = agent.popen(verb, request)
    out, err = process.communicate(payload, timeout=60)
    assert not err, err.decode(errors="replace")
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    if process.returncode:
        raise Refused(answer["error"])
    return answer
