"""A shell on a laptop whose AWS is the imitated one: ``python -m tests.support.ec2 [COMMAND...]``.

What it started goes with it. Needs root, for the machines are made of namespaces.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.ec2 import Cloud, CloudLaptop


def main() -> int:
    cloud = Cloud()
    laptop = CloudLaptop(cloud)
    laptop.env.update({key: os.environ[key] for key in ("TERM", "LANG") if key in os.environ})
    laptop.env["PATH"] = f"{os.path.dirname(sys.executable)}:{laptop.env['PATH']}"
    try:
        print(f"AWS is at {cloud.url}; HOME is {laptop.home}", file=sys.stderr)
        return subprocess.run(sys.argv[1:] or ["bash", "--norc"], env=laptop.env, cwd=laptop.home).returncode
    finally:
        laptop.close()
        cloud.close()


if __name__ == "__main__":
    sys.exit(main())
