"""``python -m bench.campaign``: one or more rounds, each repeatable by its seed."""

from __future__ import annotations

import sys

from .rounds import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
