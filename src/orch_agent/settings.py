"""What a laptop's configuration says of this host: it comes with submissions and stays here.

Invariants
- Only what a submission names is changed, so a client without configuration (a job that submits jobs) resets nothing;
  None takes a setting back. The last one to write wins.
- Whatever is in the file, what is read makes sense; a setting that does not counts as not made.
- A disk that is full or may not be written refuses no submission on this account.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from . import files, layout

DAY = 24 * 3600.0
_LEAST = {"retention": DAY, "memory_reserve": 0.0, "idle_stop": 0.0, "idle_timeout_minutes": 1.0}
_MOST = 1e18
"""What there is to set, and the least it can be: seconds that ended runs are kept for; bytes that no job gets.

Of a codespace: seconds of idleness until it is stopped, 0 for never; minutes of GitHub's own timer.
"""


def read() -> Mapping[str, float]:
    """The settings that were made."""
    fields = files.read_table(layout.settings_file())
    return {key: float(fields[key]) for key in _LEAST if _is_right(key, fields.get(key))}


def keep(said: Any) -> None:
    """Make the settings that a submission came with."""
    if not isinstance(said, dict) or not said:
        return
    before = read()
    after: dict[str, Optional[float]] = {**before, **{key: said[key] for key in _LEAST if key in said}}
    after = {key: value for key, value in after.items() if _is_right(key, value)}
    if after != before:
        try:
            files.write_whole(layout.settings_file(), json.dumps(after) + "\n")
        except OSError:
            pass


def _is_right(key: str, value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and _LEAST[key] <= value < _MOST
