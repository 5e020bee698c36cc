"""``orch jobs``, and jobs that orch.toml defines whole."""

from __future__ import annotations

import json

from tests.support.cli import Orch

FILE = """\
[job.train]
command = '''
python train.py
python report.py
'''
mem = "6G"
timeout = "3h"
sync = true
host = "box"
after = ["prep"]
env = { EPOCHS = "10" }
secrets = ["HF_TOKEN"]
tty = false
[job.prep]
command = "make data"
[job.bare]
"""


def test_what_the_repository_defines(orch: Orch) -> None:
    (orch.home / "orch.toml").write_text(FILE)
    deep = orch.home / "src"
    deep.mkdir()
    lines = orch("jobs", cwd=deep).out.splitlines()
    assert lines[0].split() == ["NAME", "COMMAND", "TERMS"]
    assert lines[1].startswith("train  python train.py ...")
    typed = "--host box --sync --no-tty --env EPOCHS --secret HF_TOKEN --mem 6.0GB --timeout 3h --after prep"
    assert set(lines[1].split("...")[1].split()) == set(typed.split())
    assert lines[2].split() == ["prep", "make", "data"] and lines[3].split() == ["bare", "-"]
    said = json.loads(orch("jobs", "--json", cwd=deep).out)
    assert said["source"] == str(orch.home / "orch.toml")
    train, prep, _ = said["jobs"]
    assert (train["env"], train["secrets"], train["sync"], train["host"]) == (
        ["EPOCHS"],
        {"HF_TOKEN": "HF_TOKEN"},
        True,
        "box",
    )
    assert (prep["command"], prep["sync"], prep["cwd"]) == ("make data", False, str(orch.home))


def test_a_mistake_in_one_hides_no_other(orch: Orch) -> None:
    (orch.home / "orch.toml").write_text('[job.good]\ncommand = "true"\n[job.bad]\ncommand = 3\n')
    done = orch("jobs")
    assert done.status == 1 and "good" in done.out and "not usable" in done.out and "command must be a text" in done.out
    said = orch("jobs", "--json")
    assert [one["name"] for one in said.json["jobs"]] == ["good"] and list(said.json["mistakes"]) == ["bad"]


def test_without_a_file(orch: Orch) -> None:
    done = orch("jobs")
    assert (done.status, done.out) == (1, "") and "there is no orch.toml here or above" in done.err
    (orch.home / "orch.toml").write_text("")
    assert orch("jobs").out == f"{orch.home}/orch.toml defines no jobs\n"


def test_a_name_alone_is_enough(orch: Orch) -> None:
    (orch.home / "vars.env").write_text("FROM=file\n")
    (orch.home / "orch.toml").write_text(
        '[job.hello]\ncommand = "echo $FROM $WORD"\nenv_file = "vars.env"\nenv = { WORD = "toml" }\nhost = "local"\n'
    )
    done = orch("run", "hello", "--follow")
    assert (done.status, done.out.strip()) == (0, "file toml")
    (orch.home / "orch.toml").write_text('[job.hello]\ncommand = "true"\nhost = "nowhere"\n')
    done = orch("run", "hello")
    assert done.status == 2 and "there is no host 'nowhere'" in done.err
