"""The CloudWatch agent: ships the lines of the files in its configuration, each file into a stream.

With ``publish_multi_logs`` every file of a pattern has a stream of its own, ``NAME_PATH`` with each / of the path a _;
without it only the newest file is shipped, into the stream NAME. It goes on where it was after the machine was off.
"""

from __future__ import annotations

import glob
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.support.ec2.instance import Instance

_EVERY = 0.2  # seconds
_MOST = 5000  # events in one call


class Shipper:
    """The agent of one machine, with the rights of its role."""

    def __init__(self, machine: Instance, logs: Any, config: dict[str, Any]) -> None:
        self._machine, self._logs = machine, logs
        self._collected = config["logs"]["logs_collected"]["files"]["collect_list"]
        self._offsets: dict[str, int] = {}
        self._streams: set[tuple[str, str]] = set()
        self._busy = threading.Lock()
        self._end = threading.Event()
        self.errors: list[str] = []
        self._thread = threading.Thread(target=self._run, name=f"{machine.model.id} ships", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, without another word."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(_EVERY):
            if self._machine.on:
                self.ship()

    def ship(self) -> None:
        """Ship what is new."""
        with self._busy:
            for one in self._collected:
                for there, here in self._files(one):
                    try:
                        self._ship(one, there, here)
                    except ClientError as error:
                        self.errors.append(str(error))

    def _files(self, one: dict[str, Any]) -> Iterator[tuple[str, Path]]:
        found = [Path(name) for name in glob.glob(str(self._machine.path(one["file_path"])))]
        files = [file for file in found if file.is_file()]
        if not one.get("publish_multi_logs") and files:
            files = [max(files, key=lambda file: file.stat().st_mtime)]
        for file in files:
            with suppress(ValueError):
                yield self._machine.there(file), file

    def _ship(self, one: dict[str, Any], there: str, here: Path) -> None:
        with here.open("rb") as file:
            file.seek(self._offsets.get(there, 0))
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        lines = whole.decode(errors="replace").splitlines()
        if not lines:
            return
        group, stream = one["log_group_name"], one["log_stream_name"].replace("{instance_id}", self._machine.model.id)
        if one.get("publish_multi_logs"):
            stream += "_" + re.sub(r"[^.\-_#A-Za-z0-9]", "_", there)
        self._make(group, stream)
        now = int(time.time() * 1000)
        for first in range(0, len(lines), _MOST):
            events = [{"timestamp": now, "message": line or " "} for line in lines[first : first + _MOST]]
            self._logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        self._offsets[there] = self._offsets.get(there, 0) + len(whole)

    def _make(self, group: str, stream: str) -> None:
        if (group, stream) not in self._streams:
            with suppress(self._logs.exceptions.ResourceAlreadyExistsException):
                self._logs.create_log_stream(logGroupName=group, logStreamName=stream)
            self._streams.add((group, stream))
