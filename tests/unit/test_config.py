from __future__ import annotations

import os
from pathlib import Path

import pytest

from orch import config, project
from orch.errors import OrchError, exit_status
from orch.ops import hosts


@pytest.fixture
def file(home: Path) -> Path:
    path = home / ".config" / "orch" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def refused(source: Path) -> OrchError:
    with pytest.raises(OrchError) as caught:
        hosts.load()
    assert str(source) in caught.value.message
    assert exit_status(caught.value) == 1
    assert caught.value.kind == "usage"
    return caught.value


def test_without_a_file_the_host_is_this_machine(home: Path) -> None:
    assert hosts.load().config.host(None) == config.LOCAL


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('default_hots = "x"', "unknown key 'default_hots'", "did you mean default_host?"),
        ("zzz = 1", "unknown key 'zzz'", "known here: default_host, hosts"),
        ("default_host = 3", "default_host must be a text in quotes, and is a number", ""),
        ("hosts = 3", "hosts must be a table", ""),
        ("[hosts]\nbox = 3", "[hosts.box] must be a table", "provider"),
        ("[hosts.box]", "[hosts.box] needs a provider", 'provider = "local"'),
        ("[hosts.box]\nprovider = 3", "[hosts.box] needs a provider", ""),
        ('[hosts.box]\nprovider = "locl"', "unknown provider 'locl'", "did you mean local?"),
        ('[hosts.box]\nprovider = "gce"', "unknown provider 'gce'", "this version knows: local"),
        ('[hosts.box]\nprovider = "local"\nadress = "x"', "unknown key 'adress'", "known here: retention, "),
        ('[hosts."a b"]\nprovider = "local"', "host name 'a b' is not allowed", ""),
        ('default_host = "bx"\n[hosts.box]\nprovider = "local"', "default_host is 'bx'", "did you mean box?"),
        ("a = 1\nb = = 2\n", "line 2", "toml.io"),
    ],
)
def test_each_kind_of_mistake(file: Path, text: str, message: str, hint: str) -> None:
    file.write_text(text)
    error = refused(file)
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ('retention = "1 month"', "[hosts.box] retention: '1 month' is no duration", "write 10s, 5m"),
        ('retention = "1h"', "[hosts.box] retention: 1h is too short", 'write at least 1d, or "default"'),
        ("retention = 30", "retention must be a text in quotes, and is a number", ""),
        ('memory_reserve = "2X"', "[hosts.box] memory_reserve: '2X' is no size", "write 6G"),
        ('memory_reserv = "2G"', "unknown key 'memory_reserv'", "did you mean memory_reserve?"),
    ],
)
def test_a_setting_that_makes_no_sense(file: Path, line: str, message: str, hint: str) -> None:
    file.write_text(f'[hosts.box]\nprovider = "local"\n{line}\n')
    error = refused(file)
    assert message in error.message
    assert hint in error.hint


def test_bytes_that_are_no_utf8(file: Path) -> None:
    file.write_bytes(b'# fine\n# \xff\ndefault_host = "x"')
    assert "line 2 is not UTF-8" in refused(file).message


def test_a_directory_in_place_of_the_file(file: Path) -> None:
    file.mkdir()
    assert "Is a directory" in refused(file).message


def test_a_file_that_may_not_be_read(file: Path) -> None:
    file.symlink_to(file.name)  # permissions do not stop root: a link to itself does
    assert "symbolic links" in refused(file).message


def test_orch_config_names_another_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = home / "other.toml"
    other.write_text("oops = 1")
    monkeypatch.setenv("ORCH_CONFIG", str(other))
    assert "unknown key 'oops'" in refused(other).message


def test_orch_config_names_a_file_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCH_CONFIG", str(home / "mistyped.toml"))
    error = refused(home / "mistyped.toml")
    assert "no such file" in error.message and "unset ORCH_CONFIG" in error.hint
    monkeypatch.setenv("ORCH_CONFIG", os.devnull)
    assert list(config.load().hosts) == ["local"]


def test_which_host_is_meant(file: Path) -> None:
    file.write_text('[hosts.a]\nprovider = "local"\n[hosts.b]\nprovider = "local"\n')
    known = config.load()
    assert known.host("b").name == "b"
    for name, message in ((None, "which host"), ("aa", "there is no host 'aa'")):
        with pytest.raises(OrchError, match=message):
            known.host(name)
    file.write_text('[hosts.a]\nprovider = "local"\n')
    assert config.load().host(None).name == "a"


def test_a_job_of_the_repository(home: Path) -> None:
    deep = home / "repo" / "src" / "deep"
    deep.mkdir(parents=True)
    (home / "repo" / "orch.toml").write_text(
        '[jobs.train]\ncommand = "python train.py"\ntty = false\nenv = { A = "1" }\n[jobs.deep]\ncwd = "src/../src"\n'
    )
    job = project.job("train", str(deep))
    assert job is not None and job[:3] == ("python train.py", str(home / "repo"), {"env": {"A": "1"}, "tty": False})
    job = project.job("deep", str(deep))
    assert job is not None and (job.command, job.cwd) == (None, str(home / "repo" / "src"))
    assert project.job("other", str(deep)) is None
    assert project.job("train", str(home)) is None


def test_the_terms_of_a_job(home: Path) -> None:
    (home / "orch.toml").write_text(
        '[jobs.train]\nmem = "6G"\nmem_max = 8589934592\ncpus = 1.5\ntimeout = "3h"\nretries = 2\nretry_delay = 30\n'
        'after = ["prep", "data.3"]\narray = "0-9%3"\nnice = -5\nlog_max = "1GB"\nstall = "30m"\n'
        '[jobs.one]\nafter = "prep"\narray = 3\n'
    )
    job = project.job("train", os.getcwd())
    assert job is not None
    assert job.terms == {
        "mem": 6 << 30,
        "mem_max": 8 << 30,
        "cpus": 1.5,
        "timeout": 10800,
        "retries": 2,
        "retry_delay": 30,
        "after": ("prep", "data.3"),
        "array": "0-9%3",
        "nice": -5,
        "log_max": 1 << 30,
        "stall": 1800,
    }
    one = project.job("one", os.getcwd())
    assert one is not None and one.terms == {"after": ("prep",), "array": "3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[task.train]", "unknown key 'task'"),
        ('[jobs.train]\ncomand = "x"', "[jobs.train] unknown key 'comand'"),
        ("[jobs.train]\ncommand = 3", "command must be a text"),
        ('[jobs.train]\ntty = "no"', "tty must be true or false, and is a text in quotes"),
        ("[jobs.train]\nkeep_children = 1", "keep_children must be true or false"),
        ("[jobs.train]\nenv = { A = 1 }", "[jobs.train.env] A must be a text"),
        ("[jobs.train]\nenv = true", "env must be a table, and is true"),
        ("[jobs]\ntrain = 1", "[jobs.train] must be a table"),
        ('[jobs.train]\nmem = "6 apples"', "[jobs.train] mem: '6 apples' is no size"),
        ("[jobs.train]\nmem = true", "[jobs.train] mem: true is neither a text nor a number"),
        ("[jobs.train]\nretries = 1.5", "[jobs.train] retries: '1.5' is no whole number"),
        ('[jobs.train]\nafter = ["prep", "a b"]', "[jobs.train] after: job name 'a b' is not allowed"),
    ],
)
def test_mistakes_in_a_repository(home: Path, text: str, message: str) -> None:
    (home / "orch.toml").write_text(text)
    with pytest.raises(OrchError) as caught:
        project.job("train", os.getcwd())
    assert message in caught.value.message
    assert str(home / "orch.toml") in caught.value.message
    assert exit_status(caught.value) == 1


def test_a_mistake_in_another_jobs_table_is_not_this_ones(home: Path) -> None:
    (home / "orch.toml").write_text('[jobs.train]\ncommand = "x"\n[jobs.other]\ncomand = 3\n[jobs."no name"]\n')
    job = project.job("train", os.getcwd())
    assert job is not None and job.command == "x"
    assert project.job("zzz", os.getcwd()) is None


def test_a_mistake_above_the_tables_is_told_apart(home: Path) -> None:
    file = home / "orch.toml"
    file.write_text('zz = 1\n[jobs.train]\ncommand = "x"\n')
    with pytest.raises(project.Elsewhere, match="unknown key 'zz'"):
        project.job("zzz", os.getcwd())
    with pytest.raises(OrchError) as caught:
        project.job("train", os.getcwd())
    assert not isinstance(caught.value, project.Elsewhere)
    file.write_text("no TOML")
    with pytest.raises(OrchError) as caught:
        project.job("zzz", os.getcwd())
    assert not isinstance(caught.value, project.Elsewhere)


def test_a_wrong_type_is_answered_with_a_right_one(home: Path) -> None:
    (home / "orch.toml").write_text('[jobs.train]\ntty = "no"\n')
    with pytest.raises(OrchError) as caught:
        project.job("train", os.getcwd())
    assert caught.value.hint == "write tty = true"


def test_a_host_that_is_not_there(file: Path) -> None:
    with pytest.raises(OrchError) as caught:
        config.load().host("nope")
    assert caught.value.hint.startswith("there is no configuration; the only host is local\n")
    assert caught.value.hint.endswith("orch init --ssh ADDRESS")
    file.write_text('[hosts.a]\nprovider = "local"\n')
    with pytest.raises(OrchError) as caught:
        config.load().host("nope")
    assert caught.value.hint.startswith(f"hosts in {file}: a\n")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("moon", "moon"),
        ("me@moon.example", "moon"),
        ("ssh://me@moon.example:2222", "moon"),
        ("me@moon:22", "moon"),
        ("10.0.0.7", "box"),
        ("me@[::1]", "box"),
        ("-x", "box"),
        ("d\u00f6ner", "box"),
        ("", "box"),
    ],
)
def test_how_an_unknown_host_is_added(file: Path, address: str, name: str) -> None:
    assert config.name_for(address) == name
    file.write_text('[hosts.local]\nprovider = "local"\n')
    with pytest.raises(OrchError) as caught:
        config.load().host(address or " ")
    file.write_text(f"{file.read_text()}\n" + caught.value.hint.partition("write there:\n")[2])
    added = config.load().hosts[name]
    assert (added.provider, added.options) == ("ssh", {"address": address or " "})


def test_a_near_miss_may_be_another_host(file: Path) -> None:
    file.write_text('[hosts.box]\nprovider = "local"\n')
    with pytest.raises(OrchError) as caught:
        config.load().host("box2")
    assert caught.value.hint == f"did you mean box? If not, add [hosts.box2] to {file}"


def test_this_machine_is_added_as_what_it_is(file: Path) -> None:
    file.write_text('[hosts.a]\nprovider = "local"\n')
    with pytest.raises(OrchError) as caught:
        config.load().host("local")
    assert caught.value.hint.endswith('to add this machine, write there:\n[hosts.local]\nprovider = "local"')
