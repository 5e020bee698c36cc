"""A shell on a laptop whose GitHub is the imitated one: ``python -m tests.support.github [COMMAND...]``.

ORCH_MINUTE is the length of one of GitHub's minutes in seconds: 60 if nothing is said. What it started goes with it.
Needs root, for codespaces are made of namespaces.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.github import GitHub, GitHubLaptop


def main() -> int:
    github = GitHub()
    github.knobs.minute = float(os.environ.get("ORCH_MINUTE", "60"))
    github.knobs.queued = github.knobs.provisioning = github.knobs.starting = 1.0
    laptop = GitHubLaptop(github)
    laptop.env.update({key: os.environ[key] for key in ("TERM", "LANG") if key in os.environ})
    laptop.env["PATH"] = f"{laptop.bin}:{os.path.dirname(sys.executable)}:{laptop.env['PATH']}"
    try:
        print(f"GitHub is at {github.socket}; HOME is {laptop.home}; there is octo/video-marketing-ai", file=sys.stderr)
        return subprocess.run(sys.argv[1:] or ["bash", "--norc"], env=laptop.env, cwd=laptop.home).returncode
    finally:
        laptop.close()
        github.close()


if __name__ == "__main__":
    sys.exit(main())
