"""What a test may change about the imitated GitHub."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class Failing:
    """The next ``times`` calls whose ``METHOD PATH`` matches are answered with ``status``."""

    pattern: str
    status: int
    times: int
    headers: dict[str, str] = field(default_factory=dict)
    does: bool = False
    """Whether what was asked for is done all the same."""

    def hits(self, call: str) -> bool:
        """Whether this call is one of them; it is counted."""
        if self.times == 0 or not re.fullmatch(self.pattern, call):
            return False
        self.times -= 1
        return True


@dataclass
class Knobs:
    """Times in seconds, but that ``minute`` is how long one of GitHub's minutes takes."""

    minute: float = 0.4
    limit: int = 720
    """Minutes after which a codespace is stopped, whatever goes on there."""
    queued: float = 0.0
    provisioning: float = 0.0
    starting: float = 0.0
    stopping: float = 0.0
    creation_fails: bool = False
    inside_may: frozenset[str] = frozenset({"connect", "power"})
    """What a codespace's own token may do: connect to itself; start and stop itself."""
    image: frozenset[str] = frozenset({"sshd", "gh"})
    """What a new codespace has, of sshd, gh and tmux."""
    apt: str = "works"
    """``works``; ``fails``; or ``absent``."""
    post_start: str = ""
    """What ``postStartCommand`` of its devcontainer.json is."""
    failing: list[Failing] = field(default_factory=list)

    def fail(self, pattern: str, status: int, times: int = 1, **headers: str) -> None:
        """Answer the next calls that match ``METHOD PATH`` with ``status``."""
        self.failing.append(Failing(pattern, status, times, {key.replace("_", "-"): headers[key] for key in headers}))

    def conceal(self, pattern: str, status: int, times: int = 1) -> None:
        """Do what the next calls ask for that match ``METHOD PATH``, and answer with ``status``."""
        self.failing.append(Failing(pattern, status, times, does=True))
