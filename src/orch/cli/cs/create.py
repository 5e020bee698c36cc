"""``cs create``: a codespace for a repository."""

from __future__ import annotations

from orch import units
from orch.errors import usage
from orch.ops import codespaces
from orch.providers.codespaces import origin

from ..args import Arguments, Command, Option
from ..output import document, say
from .choosing import made

COMMAND = Command(
    name="create",
    words="",
    options=(
        Option("--repo", "otherwise that of the current directory", "OWNER/REPO", origin.checked, short="-R"),
        Option("--branch", "the branch; otherwise the repository's own", "BRANCH", short="-b"),
        Option("--machine", "standard, heavy, xheavy (4, 8, 16 cores), or one of GitHub's names", "MACHINE"),
        Option("--mem", "or the smallest that has so much memory for jobs", "SIZE", units.size),
        Option("--yes", "without asking"),
        Option("--json", "one JSON document instead of text"),
    ),
    most=0,
    text="""\
4 cores and 16 GB unless said otherwise. GitHub's own timer is set to 240 minutes and its retention to 7 days; the agent
stops the codespace half an hour after its last job. [codespaces] in the configuration sets machine, idle_stop,
idle_timeout and retention.""",
)


def main(args: Arguments) -> int:
    """Say what it costs, ask, make it."""
    repository = args["repo"] or codespaces.repository_here()
    if not repository:
        raise usage("this is no clone of a repository at GitHub", "cs create -R OWNER/REPO")
    space = made(repository, args["branch"], args["machine"], args["mem"], args["yes"])
    if space is None:
        say("nothing was made")
    elif args["json"]:
        document({"codespace": codespaces.as_json(space)})
    else:
        say(f"{space.name} runs; a job there: cs run -c {space.name} COMMAND")
    return 0
