"""Every test has a home, a tmux server and an agent of its own; the person's are out of bounds.

Invariants
- HOME and everything that follows from it point into a temporary directory before any test begins.
- The tripwire looks at the person's real files before and after the run, and fails it if any has changed.
- What a test started is ended by the test's own fixtures, by pid, through the agent. Machines and links that they
  have left are ended after the run, which fails.
"""

from __future__ import annotations

import os
import pwd
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.agent import Agent
from tests.support.cli import Orch
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine
from tests.support.root import Held
from tests.support.tripwire import Tripwire

if TYPE_CHECKING:
    from tests.support.ec2 import Cloud, CloudLaptop
    from tests.support.github import GitHub, GitHubLaptop

pytest_plugins = ["tests.plugins.no_skips"]

_REAL_HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)
_tripwire = Tripwire(_REAL_HOME)
_session_home = tempfile.TemporaryDirectory(prefix="orch-tests-", dir="/tmp")
_KEPT = ("PATH", "LANG", "LC_ALL", "PYENV_ROOT", "CI", "TMPDIR", "USER", "LOGNAME", "SHELL")


def pytest_configure() -> None:
    """Leave the person's environment, and what a shell in the background made deaf, before anything is run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for key in list(os.environ):
        if key not in _KEPT and not key.startswith(("ORCH_TEST_", "PYTEST_", "COV_")):
            del os.environ[key]
    os.environ["HOME"] = _session_home.name
    os.environ["TMUX_TMPDIR"] = _session_home.name
    os.environ["PYTHON_KEYRING_BACKEND"] = (
        "keyrings.alt.file.PlaintextKeyring"  # in HOME, never the person's own keychain
    )
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # where the tests run may be a machine at AWS, with rights there


_found: list[str] = []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear what one of several processes of tests has found."""
    _found.extend(getattr(node, "workeroutput", {}).get("found", []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if the person's files were touched, or something was left running."""
    for left in list(Held.living):
        _found.append(f"LEFT RUNNING: {left}")
        left.kill()
    touched = _tripwire.touched()
    if touched:
        _found.append(f"TRIPWIRE: the tests touched {', '.join(touched)}")
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["found"] = _found
    elif _found:
        print("", *dict.fromkeys(_found), sep="\n", file=sys.stderr)
        session.exitstatus = 3


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home with its own tmux server."""
    # Short, for tmux's socket lies in it and its path has a limit.
    with tempfile.TemporaryDirectory(prefix="o-", dir="/tmp", ignore_cleanup_errors=True) as name:
        path = Path(name).resolve()
        monkeypatch.setenv("HOME", str(path))
        monkeypatch.setenv("TMUX_TMPDIR", str(path))
        monkeypatch.chdir(path)
        yield path


@pytest.fixture
def agent(home: Path) -> Iterator[Agent]:
    """An agent in an empty home, run by the oldest Python it must support."""
    one = Agent(home)
    yield one
    one.close()


@pytest.fixture
def orch(home: Path, agent: Agent) -> Orch:
    """The command line, as a person calls it; its jobs are ended after the test."""
    return Orch(home)


@pytest.fixture
def machines() -> Iterator[Callable[..., Machine]]:
    """Makes machines and switches them on: ``machines(name, **options)``."""
    if not sys.platform.startswith("linux"):
        pytest.skip("machines are made of Linux namespaces")
    with ExitStack() as stack:

        def make(*words: str, **options: Any) -> Machine:
            one = Machine(*words, **options)
            stack.callback(one.close)
            one.boot()
            return one

        yield make


@pytest.fixture
def machine(machines: Callable[..., Machine]) -> Machine:
    """A machine of this network namespace."""
    return machines()


@pytest.fixture
def links() -> Iterator[Callable[..., Link]]:
    """Makes links: ``links(delay, beside)``."""
    if not sys.platform.startswith("linux"):
        pytest.skip("links are made of Linux namespaces")
    with ExitStack() as stack:

        def make(*words: Any, **options: Any) -> Link:
            one = Link(*words, **options)
            stack.callback(one.close)
            return one

        yield make


@pytest.fixture
def link(links: Callable[..., Link]) -> Link:
    """A link without delay."""
    return links()


@pytest.fixture
def laptop() -> Iterator[Callable[..., Laptop]]:
    """Makes laptops: ``laptop(machine, ...)`` knows these machines, by their names."""
    with ExitStack() as stack:

        def make(*machines: Machine, **options: Any) -> Laptop:
            one = Laptop(*machines, **options)
            stack.callback(one.close)
            return one

        yield make


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An account at the imitated EC2, empty."""
    if not sys.platform.startswith("linux"):
        pytest.skip("machines are made of Linux namespaces")
    from tests.support.ec2 import Cloud  # boto3 and moto take a second

    one = Cloud()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def at_cloud(cloud: Cloud) -> Iterator[Callable[..., CloudLaptop]]:
    """Makes laptops that may do what the policy says: ``at_cloud(**options)`` of their host."""
    from orch.providers.ec2 import policy
    from tests.support.ec2 import CloudLaptop

    cloud.allow_only(action for statement in policy.STATEMENTS for action in statement["Action"])
    with ExitStack() as stack:

        def make(**options: Any) -> CloudLaptop:
            one = CloudLaptop(cloud, **options)
            stack.callback(one.close)
            return one

        yield make


@pytest.fixture(scope="session")
def _github() -> Iterator[GitHub]:
    if not sys.platform.startswith("linux"):
        pytest.skip("codespaces are made of Linux namespaces")
    from tests.support.github import GitHub  # paramiko and grpc take a second

    one = GitHub()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def github(_github: GitHub) -> Iterator[GitHub]:
    """An account at the imitated GitHub, with a repository and no codespace."""
    yield _github
    _github.wipe()


@pytest.fixture
def at_github(github: GitHub) -> Iterator[Callable[..., GitHubLaptop]]:
    """Makes laptops that are logged in there: ``at_github(gh)``, with the newest gh if none is given."""
    from tests.support.github import GitHubLaptop

    with ExitStack() as stack:

        def make(*words: Path) -> GitHubLaptop:
            one = GitHubLaptop(github, *words)
            stack.callback(one.close)
            return one

        yield make
