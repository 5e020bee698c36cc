"""The codespaces of an account: how they come, start, stop and go, asked or by themselves."""

from __future__ import annotations

import random
import string
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tests.support.github.space import Codespace

if TYPE_CHECKING:
    from tests.support.github import GitHub

_LETTERS = string.ascii_lowercase + string.digits


class Fleet:
    """They change state in threads of their own; whoever asks sees what they are just then."""

    def __init__(self, github: GitHub) -> None:
        self._github = github
        self._spaces: dict[str, Codespace] = {}
        self._threads: list[threading.Thread] = []
        self._count = 0
        self._closing, self._hurry = threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def __iter__(self) -> Iterator[Codespace]:
        return iter(list(self._spaces.values()))

    def get(self, name: str) -> Codespace | None:
        """The one of this name."""
        return self._spaces.get(name)

    # What is asked

    def create(self, repository: dict[str, Any], asked: dict[str, Any]) -> Codespace:
        """A new one, Queued."""
        self._count += 1
        name = "fluffy-space-waddle-" + "".join(random.choices(_LETTERS, k=10))
        space = Codespace(name, self._count, repository, asked, self._github.knobs)
        space.reach(self._github.socket, self._github.gh_inside)
        self._spaces[name] = space
        self._told(space, "Queued")
        self._in_a_thread(space, self._build)
        return space

    def _build(self, space: Codespace) -> None:
        knobs = self._github.knobs
        self._hurry.wait(knobs.queued)
        self._told(space, "Provisioning")
        self._hurry.wait(knobs.provisioning)
        if knobs.creation_fails:
            self._told(space, "Failed")
            return
        self._switch_on(space)

    def start(self, space: Codespace) -> bool:
        """Start it, if it is off."""
        with space.changing:
            if space.state not in ("Shutdown", "Archived"):
                return False
            self._told(space, "Starting")
        self._in_a_thread(space, self._start)
        return True

    def _start(self, space: Codespace) -> None:
        self._hurry.wait(self._github.knobs.starting)
        self._switch_on(space)

    def _switch_on(self, space: Codespace) -> None:
        with space.changing:
            if space.name not in self._spaces:
                return
            github = self._github
            space.machine_name = space.next_machine
            space.expires_at = None
            space.switch_on(
                github.knobs, github.tokens.new_inside(space.name), github.secrets.seen_by(space.repository)
            )
            github.services.open(space)
            space.started = space.active = time.monotonic()
            space.last_used_at = time.time()
            self._told(space, "Available")

    def stop(self, space: Codespace, why: str) -> bool:
        """Stop it, if it is on."""
        with space.changing:
            if space.state != "Available":
                return False
            self._told(space, "ShuttingDown", why=why)
        self._in_a_thread(space, self._stop)
        return True

    def _stop(self, space: Codespace) -> None:
        self._hurry.wait(self._github.knobs.stopping)
        with space.changing:
            if space.name not in self._spaces:
                return
            self._cut(space)
            space.expires_at = time.time() + space.retention_minutes * 60
            self._told(space, "Shutdown")

    def _cut(self, space: Codespace) -> None:
        self._github.tokens.forget_inside(space.name)
        space.switch_off()
        self._github.services.close(space)

    def rebuild(self, space: Codespace) -> None:
        """Make its container anew: /workspaces stays."""
        with space.changing:
            self._told(space, "Rebuilding")
        self._in_a_thread(space, self._rebuild)

    def _rebuild(self, space: Codespace) -> None:
        with space.changing:
            self._cut(space)
            space.rebuild_disk()
            space.reach(self._github.socket, self._github.gh_inside)
            self._switch_on(space)

    def delete(self, space: Codespace, why: str = "api") -> None:
        """Away with it, whatever it is doing."""
        with space.changing:
            if self._spaces.pop(space.name, None):
                self._cut(space)
                space.close()
                self._told(space, "Deleted", why=why)

    # What happens by itself

    def _keep(self) -> None:
        while not self._closing.wait(min(0.05, self._github.knobs.minute / 4)):
            self._github.relay.beat()
            for space in self:
                self._look_at(space)

    def _look_at(self, space: Codespace) -> None:
        knobs, now = self._github.knobs, time.monotonic()
        if space.state == "Available":
            if now - space.active > space.idle_timeout_minutes * knobs.minute:
                self.stop(space, "idle")
            elif now - space.started > knobs.limit * knobs.minute:
                self.stop(space, "limit")
        elif space.state == "Shutdown" and space.expires_at is not None and time.time() > space.expires_at:
            self.delete(space, "retention")

    def present(self, space: Codespace, activities: list[str], scaled: bool = False) -> None:
        """Somebody is there: its idle timer begins anew."""
        if space.state == "Available":
            space.active = time.monotonic()
            self._github.events.tell("activity", name=space.name, activities=activities, scaled=scaled)

    # Ends

    def wipe(self) -> None:
        """There are none."""
        self._hurry.set()
        self._wait()
        for space in self:
            self.delete(space, "wiped")
        self._wait()
        self._hurry.clear()

    def close(self) -> None:
        """The same, for good."""
        self.wipe()
        self._closing.set()
        self._keeper.join()

    def _wait(self) -> None:
        while self._threads:
            self._threads.pop().join()

    def _in_a_thread(self, space: Codespace, deed: Callable[[Codespace], None]) -> None:
        thread = threading.Thread(target=deed, args=[space], daemon=True)
        self._threads.append(thread)
        thread.start()

    def _told(self, space: Codespace, state: str, **more: Any) -> None:
        space.state = state
        self._github.events.tell("state", name=space.name, state=state, **more)
