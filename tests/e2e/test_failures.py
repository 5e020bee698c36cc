"""What a person is told of a job that failed, was ended or does nothing; and what they can type then."""

from __future__ import annotations

import os
import re

import pytest

from tests.support.agent import eventually
from tests.support.cli import Orch
from tests.support.terminal import Terminal

GROWS = """
import time
kept = []
for step in range(100):
    kept.append(bytearray(5 << 20))
    time.sleep(0.05)
"""


def section(text: str, title: str) -> list[str]:
    """The lines below a title of what `orch show` printed."""
    return text.partition(f"\n{title}\n")[2].partition("\n\n")[0].splitlines()


def test_out_of_memory(orch: Orch) -> None:
    (orch.home / "grows.py").write_text(GROWS)
    done = orch("run", "lros-train", "--mem-max", "100M", "python3 grows.py --config prod.yaml", "--wait")
    assert done.status == 137
    shown = orch("show", "lros-train").out
    assert shown.startswith("lros-train.1  OUT_OF_MEMORY\n")
    why = "\n".join(section(shown, "Why"))
    assert "(--mem-max)" in why
    assert re.search(r"^  memory +\d+\.\dMB at its peak after \d+s, rising by \d+\.\dMB a second", why, re.MULTILINE)
    assert re.search(r"^  at the peak +python3 grows.py \d+\.\dMB", why, re.MULTILINE)
    assert "prod.yaml" not in why
    (following,) = section(shown, "Next")
    found = re.fullmatch(r"  (orch rerun lros-train --mem (\d+)M --mem-max \2M)", following)
    assert found and int(found[2]) == 200, "nobody knows how much it wanted"
    assert orch(*found[1].split()[1:]).status == 0, "what is said to be typed can be typed"


def test_a_time_limit(orch: Orch) -> None:
    assert orch("run", "slow", "--timeout", "1s", "sleep 300", "--wait").status == 124
    shown = orch("show", "slow").out
    assert section(shown, "Why")[0] == "  it reached its time limit"
    assert section(shown, "Next") == ["  orch rerun slow --timeout 2s"]


@pytest.mark.parametrize(
    ("command", "why", "following"),
    [
        ("kill -SEGV $$", "killed by SIGSEGV: it used memory that is not its own", "rerun"),
        ("kill -KILL $$", "killed by SIGKILL: somebody outside orch sent it", "rerun"),
        (
            "bash -c 'kill -ABRT $$'; exit $?",  # bash says so
            "exit status 134: a process of it was killed by SIGABRT: it gave up",
            "logs",
        ),
    ],
)
def test_a_signal(orch: Orch, command: str, why: str, following: str) -> None:
    orch("run", "dies", command, "--wait")
    shown = orch("show", "dies").out
    assert section(shown, "Why")[0].strip().startswith(why)
    assert section(shown, "Next") == [f"  orch {following} dies"], "where the log is empty, it is no help"


def test_attempts_before(orch: Orch) -> None:
    orch("run", "tries", "--retries", "2", "--retry-delay", "0.1s", "exit 7", "--wait")
    tried = section(orch("show", "tries").out, "Attempts before")
    assert [line.split()[:2] for line in tried] == [["1", "FAILED"], ["2", "FAILED"]]
    assert all("exit status 7" in line for line in tried)


def test_an_earlier_run_is_named_with_its_number(orch: Orch) -> None:
    for _ in range(2):
        orch("run", "again", "echo no; exit 7", "--wait")
    assert section(orch("show", "again.1").out, "Next") == ["  orch logs again.1"]


def test_a_curve_is_drawn_for_a_person(orch: Orch, terminal: Terminal) -> None:
    (orch.home / "grows.py").write_text(GROWS.replace("100", "20"))
    orch("run", "grows", "python3 grows.py", "--wait")
    terminal.start([os.fsdecode(word) for word in orch.argv("show", "grows")], {**orch.env, "LC_ALL": "C.UTF-8"})
    screen = terminal.shows("[ended 0]")
    assert re.search("over time +[▁▂▃].*█", screen), screen
    assert not set("▁▂▃█") & set(orch("show", "grows").out)


def test_what_is_asked_is_told(orch: Orch) -> None:
    orch("run", "asks", "read -p 'Overwrite? [y/N] ' x; echo $x")
    line = "asks.1 waits for input (Overwrite? [y/N]): orch send asks TEXT"
    eventually(lambda: line in orch("status").err, "status tells the prompt")
    assert "Overwrite? [y/N]" in orch("show", "asks").out.partition("The log ends with")[0]
    assert orch("status", "asks", "--json").json["jobs"][0]["prompt"] == "Overwrite? [y/N]"
    orch("send", "asks", "yes")
    assert orch("wait", "asks").status == 0
