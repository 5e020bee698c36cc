"""Files that a person or a disk has spoiled: said in words, and never in the way of a job."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import eventually, is_unsupervised
from tests.support.cli import Orch

MISTAKES = [
    ('default_hots = "local"', "unknown key 'default_hots'", "did you mean default_host?"),
    ("[hosts.box]", "needs a provider", 'provider = "local"'),
    ('[hosts.box]\nprovider = "locl"', "unknown provider 'locl'", "did you mean local?"),
    ('[hosts.box]\nprovider = "gce"', "unknown provider 'gce'", "this version knows: local"),
    ('[hosts.box]\nprovider = "local"\nadress = "x"', "unknown key 'adress'", ""),
    ('[hosts."a b"]\nprovider = "local"', "host name 'a b' is not allowed", ""),
    ('default_host = "bx"\n[hosts.box]\nprovider = "local"', "default_host is 'bx'", "did you mean box?"),
    ("default_host = 3", "must be a text in quotes", ""),
    ("a = = 2", "line 1", "toml.io"),
    ("a = 1\na = 2", "not TOML", "toml.io"),
    ("\x00", "not TOML", "toml.io"),
]


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory that is not below the home."""
    with tempfile.TemporaryDirectory(prefix="o-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


@pytest.mark.parametrize(("text", "message", "hint"), MISTAKES)
def test_a_mistake_in_the_configuration(orch: Orch, text: str, message: str, hint: str) -> None:
    file = orch.home / "other.toml"
    file.write_text(text)
    env = {"ORCH_CONFIG": str(file)}
    done = orch("status", env=env)
    assert (done.status, done.out) == (1, "")
    first, _, rest = done.err.partition("\n")
    assert first.startswith(f"orch: {file}: ")
    assert message in first
    assert hint in rest
    error = orch("run", "x", "touch ran", "--json", env=env).error
    assert (error["kind"], message in error["message"]) == ("usage", True)
    assert not (orch.home / "ran").exists()
    assert orch("help", env=env).status == 0


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["no UTF-8", "a directory"])
def test_a_configuration_that_cannot_be_read(orch: Orch, content: bytes | None) -> None:
    file = orch.home / ".config" / "orch" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content) if content else file.mkdir()
    done = orch("status")
    assert (done.status, str(file) in done.err) == (1, True)


def test_a_mistake_in_a_repository(orch: Orch) -> None:
    (orch.home / "orch.toml").write_text('[jobs.train]\ncomand = "true"\n')
    done = orch("run", "train")
    assert done.status == 1
    assert f"{orch.home}/orch.toml: [jobs.train] unknown key 'comand'" in done.err
    assert "did you mean command?" in done.err


def test_init_writes_what_works_and_overwrites_nothing(orch: Orch) -> None:
    assert orch("init").status == 1
    done = orch("init", "--yes")
    assert (done.status, "config.toml" in done.out) == (0, True)
    assert orch("status").status == 0
    file = orch.home / ".config" / "orch" / "config.toml"
    file.write_text(file.read_text() + "# mine\n")
    assert orch("init", "--yes").status == 1
    assert file.read_text().endswith("# mine\n")


@pytest.mark.parametrize(
    "junk",
    [b"", b"\x00\xff" * 500, b"{", b"[]", b'{"jobs": 3}', b'{"jobs":[{"name":3}],"host":{},"as_of":0}', b"[" * 9000],
)
def test_a_corrupt_cache(orch: Orch, junk: bytes) -> None:
    orch("run", "job", "true", "--wait")
    assert orch("status").status == 0
    (cache,) = (orch.home / ".cache" / "orch" / "status").iterdir()
    cache.write_bytes(junk)
    done = orch("__complete", "logs", "")
    assert (done.status, done.err) == (0, "")
    _make_dumb(orch.home)
    done = orch("status")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("orch: the agent on local gave no answer")
    assert not (orch.home / ".cache" / "orch" / "reports").exists()


def test_a_silent_host_is_shown_as_it_was(orch: Orch) -> None:
    orch("run", "job", "true", "--wait")
    assert orch("status").status == 0
    _make_dumb(orch.home)
    done = orch("status")
    assert done.status == 1
    assert "job" in done.out
    assert "ago" in done.out
    assert done.err.startswith("orch: the agent on local gave no answer")
    document = orch("status", "--json").json
    assert document["hosts"][0]["error"]
    assert document["hosts"][0]["state"] != "running"
    assert document["jobs"][0]["name"] == "job"


def _make_dumb(home: Path) -> None:
    for agent in (home / ".orch").glob("agent-*"):
        if agent.name != "agent-test":
            (agent / "__main__.py").write_text("")


@pytest.mark.parametrize("place", [".cache", ".cache/orch", ".cache/orch/status"])
def test_a_file_in_place_of_the_cache(orch: Orch, place: str) -> None:
    (orch.home / place).parent.mkdir(parents=True, exist_ok=True)
    (orch.home / place).write_text("")
    assert orch("run", "job", "true", "--wait").status == 0
    assert orch("status")[:1] == (0,)


def read_only(path: Path) -> list[str]:
    """Words before a command that shall find ``path`` read-only; permissions do not stop root."""
    if os.getuid():
        path.chmod(0o500)
        return []
    script = 'd=$1; shift; mount --bind "$d" "$d" && mount -o remount,ro,bind "$d" && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", str(path)]


@pytest.mark.parametrize("installed", [False, True])
def test_a_read_only_home(orch: Orch, elsewhere: Path, installed: bool) -> None:
    if installed:
        assert orch("status").status == 0
    before = read_only(orch.home)
    for words in (["run", "job", "true"], ["status"]):
        done = orch(*words, before=before)
        assert (done.status, done.out) == (1, ""), done
        assert done.err.startswith("orch: ")
        assert str(orch.home) in done.err
        assert "ORCH_HOME" in done.err
    env = {"ORCH_HOME": str(elsewhere / "orch"), "TMUX_TMPDIR": str(elsewhere)}
    assert orch("run", "job", "echo works; exit 3", "-f", before=before, env=env)[:2] == (3, "works\n")
    assert "job" in orch("status", before=before, env=env).out
    assert (elsewhere / "orch" / "logs" / "job" / "1.log").exists()
    orch.home.chmod(0o700)


def test_a_home_for_orch_of_ones_own(orch: Orch, elsewhere: Path) -> None:
    env = {"ORCH_HOME": str(elsewhere / "deep" / "er")}
    assert orch("run", "job", "echo $ORCH_JOB", "-f", env=env)[:2] == (0, "job.1\n")
    assert orch("status", "job").status == 1
    assert orch("status", "job", env=env).status == 0
    assert not (orch.home / "logs").exists()


def test_a_corrupt_ledger(orch: Orch) -> None:
    orch("run", "job", "true", "--wait")
    ledger = orch.home / ".orch" / "ledger.db"
    eventually(lambda: is_unsupervised(orch.home / ".orch"), "nobody reads while we write")
    for extra in ("-wal", "-shm"):
        Path(str(ledger) + extra).unlink(missing_ok=True)
    ledger.write_bytes(b"\x00garbage" * 1000)
    done = orch("status")
    assert done.status == 0 and "COMPLETED" in done.out
    assert str(ledger) in done.err, "it says where the ruin is kept"
    assert orch("logs", "job").status == 0
