"""Files that a job left on its host, brought here.

Invariants
- First it is looked at what there is, and what of that is here; then only what is not here, or differs, is brought.
  What differs is written over only by somebody's word.
- One file that cannot be had, or cannot be here, holds up no other; it is told.
- Nothing comes to be the inside of a git repository here: what is written there is run by the next ``git``.
"""

from __future__ import annotations

import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

from orch.errors import OrchError
from orch.model import label
from orch.remote import Remote
from orch_agent.landing import Place, of_git
from orch_agent.model import JobView
from orch_agent.parts import Unfit

from .manifest import KINDS, MOST, Entry, Said, ask, text
from .patience import Patience, Tell, unheard
from .receiving import Left, Receiving

_TOLD = 5


class Pull:
    """What a job left, and what of it is to be brought into the directory ``to``.

    ``paths`` are below the job's directory, or patterns; without any it is what the job has put into ``$ORCH_OUT``.
    ``same`` counts what is here already, ``left`` is what cannot be brought, ``differing`` what is here and another.
    """

    def __init__(self, remote: Remote, ref: str, paths: Sequence[str], to: str, tell: Tell = unheard) -> None:
        self._remote = remote
        self._patience = Patience(remote.host.name, tell)
        self.job: JobView
        self.same = 0
        self.left: list[Left] = []
        self.changed: list[str] = []
        self.differing: list[str] = []
        self._newer = 0
        self._directories: list[Entry] = []
        self._links: list[Entry] = []
        self._files: list[Entry] = []
        found = self._patience.go(partial(self._list, ref, paths))
        if not found or all(entry.absent for entry in found):
            self._refuse_nothing([text(entry.path) for entry in found], bool(paths))
        self.place = _place(to)
        self._sort(self._acceptable(found))

    @property
    def count(self) -> int:
        """How many files and links are to be brought."""
        return len(self._files) + len(self._links)

    @property
    def total(self) -> int:
        """How many bytes that is."""
        return sum(entry.size for entry in self._files)

    # What there is

    def _list(self, ref: str, paths: Sequence[str]) -> list[Entry]:
        header, stream = self._remote.open("pull", {"job": ref, "paths": list(paths)})
        self.job, self._there = header["job"], str(header["directory"])
        said = Said(self._remote, stream)
        found = list(islice(said.entries(), MOST + 1))
        if len(found) > MOST:
            hint = f"orch pull {label(self.job)} PATH...    # some of it, or an archive of all"
            raise OrchError("refused", f"more than {MOST:,} files and directories are there", hint)
        said.end()
        return found

    def _refuse_nothing(self, absent: Sequence[str], has_paths: bool) -> None:
        run, host = label(self.job), self._remote.host.name
        if absent and has_paths:
            look = self._remote.typed(f"ls -l {shlex.quote(self._there)}")
            raise OrchError("not_found", f"{run} has no {', '.join(absent)} in {self._there} on {host}", look)
        if not has_paths:
            hint = f"orch pull {run} PATH...    # below {self._there}"
            raise OrchError("not_found", f"{run} has put nothing into $ORCH_OUT on {host}", hint)

    def _acceptable(self, found: Sequence[Entry]) -> list[Entry]:
        """What is of a kind that can be here, each path once; the rest is left out."""
        known: dict[bytes, Entry] = {}
        for entry in self._without_git(found):
            first = known.setdefault(entry.path, entry)
            if first.base != entry.base:
                self._leave(entry, f"another one of that name, in {first.base}, comes to the same place")
            elif entry.kind not in KINDS and (first is entry or first.kind in KINDS):
                self._leave(entry, entry.why)
        return [entry for entry in known.values() if entry.kind in KINDS]

    def _without_git(self, found: Sequence[Entry]) -> Iterator[Entry]:
        told: set[bytes] = set()
        for entry in found:
            inside = of_git(entry.path)
            if inside is None:
                yield entry
            elif inside not in told:
                told.add(inside)
                self._leave(entry._replace(path=inside), "git here would run what it says: pull an archive of it")

    def _leave(self, entry: Entry, why: str) -> None:
        self.left.append(Left(text(entry.path) or ".", why))

    def _try(self, entry: Entry, work: Callable[[], None]) -> bool:
        try:
            work()
        except Unfit as unfit:
            self._leave(entry, str(unfit))
            return False
        return True

    # What of that is here

    def _sort(self, entries: Sequence[Entry]) -> None:
        alike: list[Entry] = []
        for entry in entries:
            if entry.path:
                self._try(entry, partial(self._sort_one, entry, alike))
        if alike:
            hashes = self._patience.go(partial(self._hashes, alike), surely=True)
            for entry, there in zip(alike, hashes, strict=True):
                self._try(entry, partial(self._compare, entry, there))

    def _sort_one(self, entry: Entry, alike: list[Entry]) -> None:
        if entry.kind == "directory":
            self._sort_directory(entry)
        elif entry.kind == "link":
            self._sort_link(entry)
        else:
            self._sort_file(entry, alike)

    def _sort_directory(self, entry: Entry) -> None:
        here = self.place.look(entry.path)
        if here is not None and not stat.S_ISDIR(here.st_mode):
            raise Unfit("here it is no directory")
        self._directories.append(entry)

    def _sort_link(self, entry: Entry) -> None:
        here = self.place.look(entry.path)
        if here is not None and stat.S_ISDIR(here.st_mode):
            raise Unfit("here it is a directory")
        if here is not None and stat.S_ISLNK(here.st_mode) and self.place.target(entry.path) == entry.target:
            self.same += 1
            return
        self._links.append(entry)
        if here is not None:
            self.differing.append(text(entry.path))

    def _sort_file(self, entry: Entry, alike: list[Entry]) -> None:
        here = self.place.look(entry.path)
        if here is not None and stat.S_ISDIR(here.st_mode):
            raise Unfit("here it is a directory")
        if here is None:
            self._files.append(entry)
        elif stat.S_ISREG(here.st_mode) and here.st_size == entry.size:
            alike.append(entry)
        else:
            self._differs(entry)

    def _compare(self, entry: Entry, there: str) -> None:
        """Of a file that is as long here as there: is it the same?"""
        if self.place.digest(entry.path) == there:
            self.same += 1
        else:
            self._differs(entry)

    def _differs(self, entry: Entry) -> None:
        here = self.place.look(entry.path)
        self._newer += here is not None and here.st_mtime_ns > entry.mtime_ns
        self._files.append(entry)
        self.differing.append(text(entry.path))

    def _hashes(self, alike: Sequence[Entry]) -> list[str]:
        said = ask(self._remote, [(entry, 0, "") for entry in alike], digest=True)
        found = [str(said.record().get("sha256")) for _ in alike]
        said.end()
        return found

    # Bringing it

    @property
    def is_newer_here(self) -> bool:
        """Whether something would be written over that was changed here later than there."""
        return self._newer > 0

    @property
    def warning(self) -> str:
        """What would be written over, in words."""
        told, more = self.differing[:_TOLD], len(self.differing) - _TOLD
        newer = f", {self._newer} of them changed later than there" if self._newer else ""
        return f"here and not the same{newer}: {', '.join(told)}" + (f" and {more} more" if more > 0 else "")

    def bring(self, overwrite: bool = False, progress: Callable[[int], None] = lambda _: None) -> tuple[int, int]:
        """Bring it, what differs only with ``overwrite``; how many files and links that were, and how many bytes.

        ``progress`` hears how many bytes have come.
        """
        if self.differing and not overwrite:
            raise OrchError("refused", self.warning, "--yes writes over it; --to DIR brings it elsewhere")
        over = set(self.differing)
        receiving = Receiving(self._remote, self.place, self._patience, over, progress)
        try:
            for entry in self._directories:
                self._try(entry, partial(self.place.make, entry.path, entry.mode))
            receiving.all(self._files)
            links = [partial(self.place.link, one.path, one.target, text(one.path) in over) for one in self._links]
            made = sum(self._try(entry, work) for entry, work in zip(self._links, links, strict=True))
        except OSError as error:
            error.filename = self.place.path
            raise
        finally:
            receiving.close()
            self.place.close()
        self.left += receiving.left.values()
        self.changed = receiving.changed
        return receiving.files + made, receiving.bytes


def _place(to: str) -> Place:
    try:
        return Place(to)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise OrchError("refused", f"nothing can be brought to {to}: {why}", "--to DIR names another") from None
