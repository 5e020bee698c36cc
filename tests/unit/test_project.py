"""What orch.toml says besides the terms of a job (those are tested with the configuration)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orch import project
from orch.errors import OrchError
from orch.project import Sync


def written(home: Path, text: str) -> None:
    (home / "orch.toml").write_text(text)


def refused(work: object, *args: str) -> OrchError:
    assert callable(work)
    with pytest.raises(OrchError) as caught:
        work(*args)
    assert caught.value.hint
    return caught.value


def test_both_spellings(home: Path) -> None:
    written(home, '[job.one]\ncommand = "a"\n[jobs.two]\ncommand = "b"')
    found = project.load(os.getcwd())
    assert found is not None and list(found.jobs) == ["two", "one"]
    for name, command in (("one", "a"), ("two", "b")):
        job = project.job(name, os.getcwd())
        assert job is not None and job.command == command
    written(home, '[job.one]\ncommand = "a"\n[jobs.one]\ncommand = "b"')
    assert "[job.one] and [jobs.one]" in refused(project.job, "one", os.getcwd()).message
    written(home, "[job.one]\ncomand = 1")
    assert "[job.one] unknown key 'comand'" in refused(project.job, "one", os.getcwd()).message


def test_where_and_with_what_it_runs(home: Path) -> None:
    written(home, '[job.train]\nhost = "box"\nsync = true\nsecrets = ["A", "B"]\n[job.other]\nsecrets = { C = "KEPT" }')
    train, other = (project.job(name, os.getcwd()) for name in ("train", "other"))
    assert train is not None and other is not None
    assert (train.host, train.sync, train.terms) == ("box", True, {"secrets": {"A": "A", "B": "B"}})
    assert (other.host, other.sync, other.terms) == (None, None, {"secrets": {"C": "KEPT"}})


@pytest.mark.parametrize("said", ['"A"', '["A B"]', "[1]", "[[]]", "{ A = 1 }", '{ "1A" = "B" }'])
def test_secrets_that_are_none(home: Path, said: str) -> None:
    written(home, f"[job.train]\nsecrets = {said}")
    assert "[job.train] secrets" in refused(project.job, "train", os.getcwd()).message


@pytest.mark.parametrize(
    "said",
    [
        *('secrets = "V"', 'secrets = ["V"]', 'secrets = ["A=V"]', 'secrets = { A = "V" }', "secrets = { V = 'A' }"),
        *(
            'secrets = { A = { value = "V" } }',
            'env = "A=V"',
            'env = ["A=V"]',
            'env = { A = ["V"] }',
            "env = { A = 77 }",
        ),
        *('sync = "V"', 'mem = ["V"]', 'after = [["V"]]', 'A = "V"'),
    ],
)
def test_what_stands_in_a_wrong_place_may_be_a_secret(home: Path, said: str) -> None:
    written(home, "[job.train]\n" + said.replace("{ V =", '{ "V" =').replace("V", "sk-live-77"))
    error = refused(project.job, "train", os.getcwd())
    assert "[job.train" in error.message and "77" not in error.message + error.hint


def test_an_env_file(home: Path) -> None:
    lines = ["# comment", "", "A=1", "  B=two words ", "C='quoted'", "D=", "E=x=y", "F=\r", "G=\xe9"]
    (home / "some.env").write_bytes("\n".join(lines).encode("latin-1"))
    written(home, '[job.train]\nenv_file = "some.env"\nenv = { A = "wins" }')
    job = project.job("train", os.getcwd())
    assert job is not None
    assert job.terms["env"] == {
        "A": "wins",
        "B": "two words ",
        "C": "'quoted'",
        "D": "",
        "E": "x=y",
        "F": "\r",
        "G": "\udce9",
    }


def test_an_env_file_that_makes_no_sense(home: Path) -> None:
    written(home, '[job.train]\nenv_file = "some.env"')
    assert "some.env: No such file" in refused(project.job, "train", os.getcwd()).message
    for line in ("export A=1", "secret-value", "=x", "A =1"):
        (home / "some.env").write_text(f"B=1\n{line}\n")
        error = refused(project.job, "train", os.getcwd())
        assert "some.env: line 2 is no NAME=VALUE" in error.message
        assert "secret-value" not in error.message + error.hint


def test_what_goes_to_a_host(home: Path) -> None:
    assert project.sync(os.getcwd()) == Sync((), 100 << 20)
    written(home, '[sync]\nshare = [".venv", "data/raw/"]\nmax_file = "2G"')
    found = project.sync(os.getcwd())
    assert found[:2] == ((".venv", "data/raw"), 2 << 30)
    assert found.shared_in(os.path.dirname(os.getcwd())) == tuple(
        f"{os.path.basename(os.getcwd())}/{one}" for one in found.share
    )


@pytest.mark.parametrize(
    "said",
    [
        *("share = 1", "keep = 1", 'max_file = "much"', "share = [1]"),
        *(f'share = ["{one}"]' for one in ("/abs", "../up", "a/../b", "", ".", ".git", "a/.GIT/hooks", "a\\u0000b")),
    ],
)
def test_what_cannot_go_so(home: Path, said: str) -> None:
    written(home, f"[sync]\n{said}")
    assert "[sync]" in refused(project.sync, os.getcwd()).message
