"""Codespaces from the laptop's side: what gh says and means, which codespace is meant, what is remembered of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orch import paths
from orch.errors import OrchError
from orch.model import Host, HostStatus
from orch.ops import codespaces, hosts
from orch.providers.codespaces import PROVIDER, gh, memory, secrets, space
from orch.providers.codespaces.door import Door
from orch.providers.codespaces.memory import Entrance, Memory
from orch.providers.codespaces.space import Machine, Space
from orch.remote import Remote
from orch.ssh.connection import Connection, Late
from orch.transport import LinkDown, Off
from tests.unit.fakes import FakeTransport, job

MACHINE = Machine("standardLinux32gb", 4, 16 << 30, 32 << 30, "4 cores, 16 GB RAM, 32 GB storage")


def one(name: str, repository: str = "octo/web", state: str = "Available", **more: object) -> Space:
    fields = {"machine": MACHINE, "idle_timeout": 240, "retention": 10080, **more}
    known = Space._fields
    empty = dict.fromkeys(known, None)
    said = {"name": name, "display": name, "repository": repository, "owner": "octo", "state": state, "branch": "main"}
    return Space(**{**empty, "dirty": False, **said, **fields})  # type: ignore[arg-type]


HUGE = json.dumps(
    {"asked_at": 0, "entrances": {}, "spaces": [{**one("x", created_at=10**400)._asdict(), "machine": None}]}
)


def remember(*spaces: Space, age: float = 0.0) -> None:
    memory.save(Memory(time.time() - age, {found.name: found for found in spaces}))


@pytest.fixture
def fake_gh(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A gh that is a shell script, and says on each call in ``calls`` what it was called with."""

    def _fake(script: str) -> Path:
        program = home / "bin" / "gh"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$@" >>{home}/calls\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return home / "calls"

    return _fake


# What gh says


@pytest.mark.parametrize(
    ("status", "said", "kind", "in_message", "in_hint"),
    [
        (
            4,
            "To get started with GitHub CLI, please run:  gh auth login",
            "not_authorised",
            "not logged",
            "gh auth login",
        ),
        (
            1,
            "gh: Bad credentials (HTTP 401)\nTry authenticating with:  gh auth login",
            "not_authorised",
            "not logged",
            "",
        ),
        (
            1,
            'gh: Must have admin rights (HTTP 403)\ngh: This API operation needs the "codespace" scope. '
            "To request it, run:  gh auth refresh -h github.com -s codespace",
            "not_authorised",
            "scope 'codespace'",
            "gh auth refresh -h github.com -s codespace",
        ),
        (1, "gh: Resource not accessible by integration (HTTP 403)", "refused", "not accessible", "gh auth status"),
        (1, "gh: Not Found (HTTP 404)", "not_found", "Not Found", ""),
        (1, "gh: Too many (HTTP 429)", "host", "Too many", "sleep 60"),
        (1, "gh: You have exceeded a secondary rate limit (HTTP 403)", "host", "rate limit", "githubstatus"),
        (1, "gh: Service Unavailable (HTTP 503)", "host", "Service Unavailable", "githubstatus"),
        (1, "gh: Machine is not available (HTTP 422)", "refused", "Machine is not available", "gh api"),
        (1, "error connecting to api.github.com\ncheck your internet connection", "host", "error connecting", ""),
        (2, "", "host", "gh api /user failed (status 2)", ""),
    ],
)
def test_what_gh_says_is_one_of_our_errors(status: int, said: str, kind: str, in_message: str, in_hint: str) -> None:
    error = gh.explained(status, said, b"", ["api", "/user"])
    assert error.kind == kind
    assert in_message in error.message and in_hint in error.hint and error.hint


def test_a_token_in_a_variable_goes_before_any_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """gh refuses to log in while there is one."""
    monkeypatch.setenv("GITHUB_TOKEN", "bad")
    error = gh.explained(1, "gh: Bad credentials (HTTP 401)", b"", ["api", "/user"])
    assert "the token in GITHUB_TOKEN" in error.message
    assert error.hint.startswith("unset GITHUB_TOKEN; gh auth login -s codespace")


def test_no_hint_is_half_a_command(fake_gh: Callable[[str], Path]) -> None:
    fake_gh('echo "gh: Retention period must be between 0 and 30 days (HTTP 422)" >&2; exit 1')
    for method, hint in (("GET", "gh api /x/y"), ("POST", "https://docs.github.com/rest/codespaces")):
        with pytest.raises(gh.Failure, match="Retention") as error:
            gh.api("/x/y", method, None if method == "GET" else {})
        assert error.value.hint == hint


def test_a_question_is_asked_again_and_nothing_else(
    fake_gh: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gh, "_PAUSES", (0.0, 0.0))
    calls = fake_gh('echo "gh: Bad Gateway (HTTP 502)" >&2; exit 1')
    with pytest.raises(gh.Trouble):
        gh.api("/user")
    assert len(calls.read_text().splitlines()) == 3
    with pytest.raises(gh.Trouble):
        gh.api("/user/codespaces/x/start", "POST")
    assert len(calls.read_text().splitlines()) == 4
    fake_gh('echo "gh: no (HTTP 403)" >&2; exit 1')
    with pytest.raises(gh.Failure):
        gh.api("/user")
    assert len(calls.read_text().splitlines()) == 5


@pytest.mark.parametrize("answer", ["<html>", "[]", "{}", '{"codespaces": 3}', '{"codespaces": [{}]}', "null", "[1]"])
def test_an_answer_that_makes_no_sense_is_githubs_trouble(fake_gh: Callable[[str], Path], answer: str) -> None:
    fake_gh(f"echo '{answer}'")
    for ask in (space.listed, lambda: space.one("x"), lambda: space.offered("octo/web")):
        with pytest.raises(gh.Trouble):
            ask()


def test_all_pages_are_read(fake_gh: Callable[[str], Path]) -> None:
    page = json.dumps({"codespaces": [1] * 100})
    fake_gh(f"""case "$*" in *page=3) echo '{{"codespaces": [2]}}';; *) echo '{page}';; esac""")
    assert gh.pages("/user/codespaces", "codespaces") == [1] * 200 + [2]


@pytest.mark.parametrize(("version", "is_fit"), [("2.23.0 (2023-02-27)", False), ("2.43.0", True), ("2.102.1", True)])
def test_a_gh_that_is_too_old_is_refused(fake_gh: Callable[[str], Path], version: str, is_fit: bool) -> None:
    fake_gh(f'echo "gh version {version}"')
    if is_fit:
        gh.check_version()
        return
    with pytest.raises(OrchError, match=r"gh here is 2\.23\.0; codespaces need 2\.43\.0 or later"):
        gh.check_version()


def test_without_gh_the_version_needed_is_named(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(OrchError, match="there is no gh here") as error:
        gh.api("/user")
    assert "2.43.0" in error.value.hint and "https://cli.github.com" in error.value.hint


# The way in


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            "error getting ssh server details: failed to start SSH server:\nPlease check if an SSH server is installed",
            "refused",
            "no SSH server",
        ),
        ("error getting codespace: HTTP 404: Not Found", "stopped", "does not exist"),
        ("To get started with GitHub CLI, please run:  gh auth login", "not_authorised", "not logged in"),
        ("sh: 1: exec: gh: not found", "refused", "there is no gh"),
        ("error connecting to codespace: tunnel", "host", "cannot be reached"),
    ],
)
def test_what_the_proxy_says(said: str, kind: str, words: str) -> None:
    error = Door("web", "fluffy-1").meaning(said)
    assert error is not None and error.kind == kind and words in error.message


def test_a_codespace_that_is_off_is_not_entered(fake_gh: Callable[[str], Path]) -> None:
    calls = fake_gh("exit 9")
    for state, word in (("Shutdown", "stopped"), ("Archived", "stopped")):
        remember(one("fluffy-1", state=state))
        with pytest.raises(Off, match=word), Door("fluffy-1", "fluffy-1").opened(None):
            pass
    assert not calls.exists()


ONE = """*) echo '{"name": "fluffy-1", "state": "Available"}';;"""


def test_an_open_door_asks_gh_for_nothing_but_whether_it_runs(fake_gh: Callable[[str], Path]) -> None:
    calls = fake_gh(f"case $1 in {ONE} esac")
    remember(one("fluffy-1"))
    memory.note_entrance("fluffy-1", Entrance("vscode", "/a b/key%"))
    with Door("web", "fluffy-1").opened(None) as way:
        assert "User=vscode" in way.words
        assert "ProxyCommand=gh codespace ssh -c fluffy-1 --stdio -- -i '/a b/key%%'" in way.words
        assert way.env["GH_PROMPT_DISABLED"] == "1"
    assert calls.read_text().count("\n") == 1 and "/user/codespaces/fluffy-1" in calls.read_text()


def test_one_that_ran_a_moment_ago_is_not_taken_to_run(fake_gh: Callable[[str], Path]) -> None:
    fake_gh("""echo '{"name": "fluffy-1", "state": "ShuttingDown"}'""")
    remember(one("fluffy-1"))
    with pytest.raises(Off, match="stopping"), Door("web", "fluffy-1").opened(None):
        pass


def test_nobody_comes_in_while_it_is_stopped(
    home: Path, fake_gh: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has lost his connection by that tries again at once."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    door = Door("web", "fluffy-1")
    ours, theirs = (Connection("x", ["-F", "none"], door=door) for _ in range(2))
    fake_gh("exit 9")
    with ours.shut(), pytest.raises(Late):
        theirs.take(time.monotonic() + 0.1)
    with pytest.raises(OrchError, match="gh failed"):
        theirs.take(time.monotonic() + 60)


def test_how_it_is_entered_is_asked_once(fake_gh: Callable[[str], Path]) -> None:
    block = "Host cs.fluffy-1.main\n\tUser vscode\n\tProxyCommand x\n\tIdentityFile /k/codespaces.auto\n"
    printed = block.replace("\n", "\\n").replace("\t", " ")
    calls = fake_gh(
        f"""case "$1" in --version) echo "gh version 2.102.0";; codespace) printf '{printed}';; {ONE} esac"""
    )
    remember(one("fluffy-1"))
    for _ in range(2):
        with Door("web", "fluffy-1").opened(None) as way:
            assert 'IdentityFile="/k/codespaces.auto"' in way.words
    asked = [line for line in calls.read_text().splitlines() if not line.startswith("api ")]
    assert asked == ["--version", "codespace ssh --config -c fluffy-1"]


# Which is meant


@pytest.fixture
def clone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = home / "clone"
    directory.mkdir()
    monkeypatch.chdir(directory)
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "remote", "add", "origin", "git@github.com:octo/web.git"], check=True)
    return directory


TWO = (one("fluffy-1", "octo/web"), one("solid-2", "octo/Video.ai"))


def test_it_is_the_one_that_is_named() -> None:
    remember(*TWO)
    for name, found in (("fluffy-1", "fluffy-1"), ("video.ai", "solid-2"), ("octo/web", "fluffy-1")):
        assert codespaces.called(name).name == found
        chosen = codespaces.wanted(name, "cd /workspaces/other && true").space
        assert chosen is not None and chosen.name == found
    with pytest.raises(OrchError, match=r"no codespace 'fluffy'.*there are web, Video\.ai") as error:
        codespaces.called("fluffy")
    assert "did you mean fluffy-1" in error.value.hint


NONE = """case "$*" in *repos/*) echo '{"full_name": "%s"}';; *) echo '{"codespaces": []}';; esac"""


def test_who_names_a_repository_may_have_a_codespace_of_it_made(fake_gh: Callable[[str], Path]) -> None:
    fake_gh(NONE % "octo/api")
    remember(*TWO)
    assert codespaces.wanted("octo/api", "true") == (None, "octo/api")
    remember(*TWO)
    for ask in (codespaces.one, codespaces.called):
        with pytest.raises(OrchError, match="no codespace 'acme/zz'") as error:
            ask("acme/zz")
        assert error.value.hint == "cs create -R acme/zz"


@pytest.mark.parametrize("start", ["cd /workspaces/Video.ai && python x", " cd '/workspaces/Video.ai/sub'; ls"])
def test_it_is_that_of_a_leading_directory(clone: Path, start: str) -> None:
    remember(*TWO)
    assert codespaces.wanted(None, start).space == TWO[1]


def test_it_is_that_of_the_clone_that_we_are_in(clone: Path, fake_gh: Callable[[str], Path]) -> None:
    fake_gh(NONE % "octo/web")
    remember(*TWO)
    assert codespaces.wanted(None, "python train.py").space == TWO[0]
    remember(TWO[1])
    assert codespaces.wanted(None, "python train.py") == (None, "octo/web")
    assert codespaces.wanted(None, "cd /workspaces/web && ls") == (None, "octo/web")


def test_it_is_the_only_one(home: Path, fake_gh: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gh("echo '{\"codespaces\": []}'")  # who is known to have none is asked again
    monkeypatch.chdir(home)
    remember(TWO[0])
    assert codespaces.wanted(None, "true").space == TWO[0]
    remember(*TWO)
    with pytest.raises(OrchError, match="which codespace"):
        codespaces.wanted(None, "true")
    remember()
    with pytest.raises(OrchError, match="you have no codespace"):
        codespaces.wanted(None, "true")


def test_a_repository_that_has_another_name_by_now_is_the_same(
    home: Path, fake_gh: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    said = [{"name": "fluffy-1", "state": "Available", "repository": {"full_name": "octo/newname"}}]
    listed = json.dumps({"codespaces": said})
    fake_gh(f"""case "$*" in *repos/*) echo '{{"full_name": "octo/newname"}}';;
    */user/codespaces*) echo '{listed}';; *) echo '{{"login": "octo"}}';; esac""")
    command = "cd /workspaces/oldname && ls"
    found = codespaces.wanted(None, command).space
    assert found is not None and found.name == "fluffy-1"
    assert codespaces.directory(found, command) == "/workspaces/oldname"
    assert codespaces.directory(found, "ls") == "/workspaces/newname"


def test_of_several_of_a_repository_one_has_to_be_named() -> None:
    remember(one("fluffy-1"), one("solid-2"))
    with pytest.raises(OrchError, match=r"web is several codespaces: fluffy-1 \(Available\), solid-2 \(Available\)"):
        codespaces.wanted(None, "cd /workspaces/web && true")
    assert codespaces.shown(one("fluffy-1"), [one("fluffy-1"), one("solid-2")]) == "fluffy-1"
    assert codespaces.shown(TWO[0], TWO) == "web"


def test_a_repository_without_codespace_is_looked_for_at_github(
    home: Path, fake_gh: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    remember(TWO[0])
    fake_gh("""case "$*" in *repos/octo/new) echo '{"full_name": "octo/new"}';; *repos*) echo "(HTTP 404)" >&2; exit 1;;
    */user/codespaces*) echo '{"codespaces": []}';; *) echo '{"login": "octo"}';; esac""")
    assert codespaces.wanted(None, "cd /workspaces/new && true") == (None, "octo/new")
    with pytest.raises(OrchError, match="GitHub knows no repository octo/newer"):
        codespaces.wanted(None, "cd /workspaces/newer && true")


def test_a_repository_that_github_does_not_know_is_named(fake_gh: Callable[[str], Path]) -> None:
    fake_gh('echo "gh: Not Found (HTTP 404)" >&2; exit 1')
    for ask in (space.offered, secrets.of):
        with pytest.raises(gh.Failure, match=r"no repository octo/nosuch that your login may see") as error:
            ask("octo/nosuch")
        assert error.value.code == 404 and error.value.hint.startswith("gh repo list octo ")


@pytest.mark.parametrize("name", ["octo", "../user", "octo/.."])
def test_what_is_no_repository_is_asked_nothing_of(fake_gh: Callable[[str], Path], name: str) -> None:
    calls = fake_gh("exit 9")
    words = [sys.executable, "-c", "from orch.cli.main import cs; cs()", "create", "-R", name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "write OWNER/REPO" in done.stderr and not calls.exists()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ('idle_timeout = "20h"', "idle_timeout: 20h is more than GitHub takes"),
        ('idle_timeout = "1m"', "idle_timeout: 1m is less than GitHub takes"),
        ('retention = "60d"', "retention: 60d is more than GitHub takes"),
        ('retention = "a week"', "retention: 'a week' is no duration"),
        ('idle_stop = "soon"', "idle_stop: 'soon' is no duration"),
    ],
)
def test_what_the_configuration_says_is_checked_first(
    home: Path, monkeypatch: pytest.MonkeyPatch, fake_gh: Callable[[str], Path], said: str, says: str
) -> None:
    """By each command, and before anything is asked of GitHub or of the person."""
    calls = fake_gh("exit 9")
    config = home / "config.toml"
    config.write_text(f"[codespaces]\n{said}\n")
    monkeypatch.setenv("ORCH_CONFIG", str(config))
    cs = [sys.executable, "-c", "from orch.cli.main import cs; cs()"]
    for words in (["status"], ["run", "true"], ["create", "-R", "octo/web"], ["logs", "x"]):
        done = subprocess.run([*cs, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and f"cs: [codespaces] {says}" in done.stderr, done.stderr
    assert not calls.exists()


# What is remembered


def test_what_is_remembered_comes_back_or_is_nothing() -> None:
    remember(*TWO)
    memory.note_entrance("fluffy-1", Entrance("me", "/k"))
    kept = memory.load()
    assert tuple(kept.spaces.values()) == TWO and kept.entrances == {"fluffy-1": Entrance("me", "/k")}
    for text in ("", "[]", "{}", '{"spaces": [{}], "entrances": {}, "asked_at": 1}', "\xff", HUGE):
        Path(paths.codespaces()).write_text(text, encoding="latin-1")
        assert memory.load() == Memory()


def test_what_cannot_be_written_down_is_remembered_for_now(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job is looked for in the codespaces of which GitHub has just told."""
    remember(one("former-3"))
    cache = home / ".cache"
    cache.rename(home / "aside")
    cache.write_text("in the way")
    remember(*TWO)
    memory.note_entrance("fluffy-1", Entrance("me", "/k"))
    assert list(memory.load().spaces) == ["fluffy-1", "solid-2"] and "fluffy-1" in memory.load().entrances
    monkeypatch.setattr(hosts, "only", "codespaces")
    assert list(hosts.load().config.hosts) == ["fluffy-1", "solid-2"]
    cache.unlink()
    memory.forget("solid-2")
    Path(paths.codespaces()).unlink()
    assert memory.load() == Memory()


def test_github_is_not_asked_for_what_it_said_a_moment_ago(fake_gh: Callable[[str], Path]) -> None:
    calls = fake_gh('echo "error connecting to api.github.com" >&2; exit 1')
    remember(*TWO, age=30)
    assert codespaces.refresh() == list(TWO)
    assert not calls.exists()
    remember(*TWO, age=90)
    assert codespaces.refresh() == list(TWO)  # as they were, for GitHub does not answer
    assert calls.exists()
    remember(age=90)
    with pytest.raises(LinkDown):
        codespaces.refresh()


def test_a_codespace_is_a_host_once_it_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(*TWO)
    assert list(hosts.load().config.hosts) == ["local"]
    from orch.ops import cache

    cache.save(HostStatus(Host("solid-2", "codespaces"), [], {"cpus": 4}, time.time()))
    loaded = hosts.load().config
    assert list(loaded.hosts) == ["local", "solid-2"] and loaded.default_host == "local"
    monkeypatch.setattr(hosts, "only", "codespaces")
    loaded = hosts.load().config
    assert list(loaded.hosts) == ["fluffy-1", "solid-2"] and loaded.default_host is None


def test_a_codespace_may_be_configured_as_a_host(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = home / "config.toml"
    config.write_text(
        '[codespaces]\nidle_stop = "10m"\n[hosts.lros]\nprovider = "codespaces"\ncodespace = "solid-2"\n'
        'idle_stop = "never"\n'
    )
    monkeypatch.setenv("ORCH_CONFIG", str(config))
    remember(*TWO)
    monkeypatch.setattr(hosts, "only", "codespaces")
    loaded = hosts.load().config.hosts
    assert list(loaded) == ["fluffy-1", "lros"]
    assert PROVIDER.settings(loaded["fluffy-1"]) == {"idle_stop": 600.0, "idle_timeout_minutes": 240}
    assert PROVIDER.settings(loaded["lros"])["idle_stop"] == 0.0
    assert codespaces.host(TWO[1]).name == "lros"
    assert codespaces.called("lros") == TWO[1]
    config.write_text('[codespaces]\nidle_stop = "soon"\n')
    with pytest.raises(OrchError, match=r"\[codespaces\] idle_stop"):
        PROVIDER.settings(hosts.load().config.hosts["fluffy-1"])


@pytest.mark.parametrize(
    ("can_stop", "idle", "limit", "is_overdue"),
    [
        (False, 1900, 1800, True),
        (None, 1900, 1800, True),
        (False, 1700, 1800, False),
        (True, 9000, 1800, False),
        (False, 9000, 0, False),
    ],
)
def test_who_may_not_stop_itself_is_stopped_from_here(can_stop: bool, idle: int, limit: int, is_overdue: bool) -> None:
    facts = {"idle_seconds": idle, "codespace": {"can_stop": can_stop, "idle_stop_seconds": limit}}
    told = HostStatus(Host("fluffy-1", "codespaces"), [], facts, time.time())
    assert hosts.is_overdue(told) is is_overdue
    assert not hosts.is_overdue(told._replace(error="silent"))
    assert not hosts.is_overdue(told._replace(facts={}))


# Looking


class Far(FakeTransport):
    """A host where visits count; ``lane``: somebody is connected; ``off``: it is known not to run."""

    here = False
    counts_visits = True
    lane = off = False

    def is_open(self) -> bool:
        return self.lane

    def is_shut(self) -> bool:
        return self.off


def looked_at(seconds_ago: float, jobs: list[dict[str, object]], **facts: object) -> tuple[Remote, Far]:
    """A codespace that told of itself so long ago."""
    from orch.ops import cache

    host, far = Host("fluffy-1", "codespaces"), Far(lambda verb, request: {})
    cache.save(HostStatus(host, jobs, {"idle_seconds": 0, **facts}, time.time() - seconds_ago))
    return Remote(host, far), far


def test_a_look_is_a_visit_once_a_minute() -> None:
    remote, far = looked_at(30, [])
    assert hosts.recent(remote) is not None
    far.off = True
    assert hosts.recent(remote) is None  # what is known of it is newer than what it said
    remote, far = looked_at(70, [])
    assert hosts.recent(remote) is None


def test_while_a_job_lives_and_somebody_is_connected_it_is_asked() -> None:
    remote, far = looked_at(5, [job(state="RUNNING")])
    assert hosts.recent(remote) is not None
    far.lane = True
    assert hosts.recent(remote) is None
    remote, far = looked_at(5, [job(state="COMPLETED")])
    far.lane = True  # our own looking, perhaps: that does not prolong itself
    assert hosts.recent(remote) is not None


def test_a_submission_makes_the_next_look_a_visit() -> None:
    from orch.ops import cache

    remote, _ = looked_at(5, [])
    cache.add(remote.host, job(state="PENDING"))
    assert hosts.recent(remote) is None


def test_who_should_be_off_is_not_kept_awake_by_looking() -> None:
    facts = {"can_stop": False, "idle_stop_seconds": 1800}
    remote, _ = looked_at(3600, [], codespace=facts)
    assert hosts.recent(remote) is not None
    remote, _ = looked_at(3600, [], codespace={**facts, "can_stop": True})
    assert hosts.recent(remote) is None
