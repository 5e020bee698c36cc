"""A working tree as it is now, as something that can be sent: its snapshot, made with git and without touching it.

Invariants
- Nothing in the tree and in the person's repository is written, and none of their hooks, daemons and filters has
  a part in it. (The times of objects and of a shared index that git meets again it may renew; and for the count of
  what has changed it may ask a filter, as for their own status.)
- A snapshot has the bytes that are on disk. The same tree gives the same commit, which has no parent and no date.
- Work is in proportion to what has changed; of the whole there is one scan of the names and one of the files' times.
- No network.
"""

from __future__ import annotations

from .packing import Pack, base, has_directory, note, pack
from .snapshot import Snapshot, code_of, laptop, place, take

__all__ = ["Pack", "Snapshot", "base", "code_of", "has_directory", "laptop", "note", "pack", "place", "take"]
