"""The example that the README begins with, at a small size: its own script, through orch, in a home of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agent import eventually
from tests.support.cli import Orch
from tests.support.laptop import Laptop
from tests.support.machine import Machine
from tests.support.terminal import Terminal

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-jobs"
SMALLER = (
    ("run", "{python} collect.py", "{python} collect.py --limit 60"),
    ("run", "{python} backfill.py", "{python} backfill.py 12000"),
    ("coupons/package.json", "node backfill.js", "node backfill.js 12000"),
)
RESULTS = {"pages.jsonl", "embeddings.npz", "coupons.db", "model.pkl", "training.json", "report.html"}
NAMES = ("demo-pages", "demo-coupons", "demo-digits")


@pytest.fixture
def example(home: Path) -> Path:
    """A copy of the example, in which it has less to do, in what looks like a clone."""
    copy = home / "clone" / "examples" / "three-jobs"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("results", "__pycache__"))
    shutil.copytree(EXAMPLE.parents[1] / "requirements", home / "clone" / "requirements")
    (home / "clone" / ".venv").symlink_to(Path(sys.executable).parents[1])
    for name, old, new in SMALLER:
        text = (copy / name).read_text()
        assert text.count(old) == 1, f"{name} has changed: make the example smaller in another way"
        (copy / name).write_text(text.replace(old, new))
    lines = (copy / "prod.toml").read_text().splitlines()
    smaller = ["epochs = 2" if line.startswith("epochs") else line for line in lines]
    assert smaller != lines
    (copy / "prod.toml").write_text("\n".join(smaller) + "\n")
    return copy


def _results(example: Path) -> set[str]:
    return {path.name for path in (example / "results").iterdir()}


def test_three_jobs_side_by_side(orch: Orch, example: Path) -> None:
    done = subprocess.run([example / "run"], cwd=example, capture_output=True, text=True, check=False, timeout=110)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert _results(example) == RESULTS
    jobs = orch("status", "--json").json["jobs"]
    assert [(job["name"], job["state"]) for job in jobs] == [(name, "COMPLETED") for name in NAMES]
    *earlier, last = sorted(jobs, key=lambda job: job["started_at"])
    assert last["started_at"] < max(job["ended_at"] for job in earlier), "not side by side"
    for job in jobs:
        assert job["log_path"] in done.stdout
        assert job["mem_peak_bytes"] > 10 << 20
    assert len((example / "results" / "pages.jsonl").read_text().splitlines()) == 60
    assert len(json.loads((example / "results" / "training.json").read_text())["history"]) == 2
    report = (example / "results" / "report.html").read_text()
    assert "<svg" in report or "base64" in report, "there is no plot"


def test_a_failing_job_is_shown_and_told(orch: Orch, example: Path, terminal: Terminal) -> None:
    """On a terminal, and a second time: the watching ends with the jobs, and so does the script with their status."""
    (example / "train.py").write_text("import sys\nprint('no data today')\nsys.exit(9)\n")
    terminal.start([str(example / "run")])
    terminal.shows("three jobs, ")
    screen = terminal.shows("[ended 9]")
    assert "demo-digits.1 ended FAILED" in screen
    assert "no data today" in screen
    assert terminal.value("cursor_flag") == 1


def test_node_and_its_python_twin_agree(orch: Orch, example: Path) -> None:
    found = []
    for name, program in (("node", ["node", "backfill.js"]), ("python", [sys.executable, "backfill.py"])):
        command = shlex.join([*program, "24000"])
        done = orch("run", name, command, "--cwd", str(example / "coupons"), "--env", f"PYTHON={sys.executable}", "-f")
        assert done.status == 0, done.out
        database = sqlite3.connect(example / "results" / "coupons.db")
        found.append(database.execute("SELECT * FROM totals ORDER BY month, coupon").fetchall())
        database.close()
    assert found[0] == found[1]
    assert len(found[0]) == 480


# The same on another machine


@pytest.fixture
def box(machines: Callable[..., Machine]) -> Machine:
    """A machine on which somebody has run the example before: its packages are there."""
    machine = machines(python=sys.executable)
    venv = machine.write("orch-three-jobs/.venv/pyvenv.cfg", f"home = {sys.base_prefix}/bin\n").parent
    (venv / "bin").mkdir()
    (venv / "bin/python").symlink_to(Path(sys.executable).resolve())
    packages = venv / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    unneeded = shutil.ignore_patterns("mypy*", "ruff*", "hypothesis*", "_pytest", "*.pth")
    shutil.copytree(sysconfig.get_path("purelib"), packages, ignore=unneeded, copy_function=_link_or_copy)
    return machine


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy2(source, target)


def _states(mine: Laptop) -> dict[str, str]:
    return {job["name"]: job["state"] for job in mine("status", "--json").json["jobs"]}


@pytest.mark.parametrize("lid", ["closed", "closed for good"])
def test_three_jobs_on_another_machine(
    box: Machine, laptop: Callable[..., Laptop], example: Path, home: Path, lid: str
) -> None:
    """The lid is closed in the middle of it, and the jobs do not notice. Then it is opened, or the laptop dies."""
    mine = laptop(box)
    results = box.home / "orch-three-jobs/results"
    told = home / "told"
    command = [example / "run", "--host", "box"]
    with (
        told.open("wb") as out,
        subprocess.Popen(command, cwd=example, env={**os.environ, **mine.env}, stdout=out, stderr=out) as run,
    ):
        eventually(lambda: run.poll() is not None or set(_states(mine)) == set(NAMES), "all have been submitted")
        assert run.poll() is None, told.read_text()
        mine.freeze()
        eventually(lambda: results.is_dir() and {path.name for path in results.iterdir()} == RESULTS, "all is done")
        if lid == "closed":
            mine.thaw()
            assert run.wait(60) == 0, told.read_text()
            assert "report.html" in told.read_text()
        else:
            for pid in mine.processes():
                os.kill(pid, signal.SIGKILL)
    assert mine("wait", *NAMES).status == 0
    assert _states(mine) == dict.fromkeys(NAMES, "COMPLETED")
    assert mine("logs", "demo-digits").out.count("epoch ") == 2
    for name in NAMES:
        raw = mine("logs", name, "--raw").out
        assert raw and raw == (box.home / "logs" / name / "1.log").read_bytes().decode(errors="replace")
    assert len((results / "pages.jsonl").read_text().splitlines()) == 60
