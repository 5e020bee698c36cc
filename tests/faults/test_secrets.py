"""Secrets that wait, and what may happen meanwhile: a restart, memory that is full or missing, several laptops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.agent import eventually
from tests.support.laptop import Laptop
from tests.support.machine import Machine

Laptops = Callable[..., Laptop]
VALUE = "canary-55d0e1"
GATE = "until [ -e go ]; do sleep 0.1; done"


def keep(mine: Laptop, value: str = VALUE) -> None:
    assert mine("secret", "set", "A", input=value.encode()).status == 0


def run(mine: Laptop, name: str, command: str, *words: str) -> None:
    done = mine("run", name, "--secret", "A", *words, command)
    assert done.status == 0, done.err


def waiting(machine: Machine) -> list[Path]:
    return list(machine.seen("/dev/shm").glob("orch-*/*"))


def reason(mine: Laptop, name: str) -> str:
    job = mine("show", name, "--json").json["job"]
    return f"{job['state']} {job['reason']}"


def test_after_a_restart_it_says_what_it_waits_for_and_gets_it_from_the_laptop(
    machine: Machine, laptop: Laptops
) -> None:
    mine = laptop(machine)
    keep(mine)
    run(
        mine,
        "again",
        f'{GATE}; printf %s "$A" >> seen; [ $ORCH_JOB_ATTEMPT -gt 1 ]',
        "--retries",
        "2",
        "--retry-delay",
        "0",
    )
    eventually(lambda: reason(mine, "again").startswith("RUNNING"), "it runs")
    machine.reboot()
    mine.crash()
    said = "waits for the secret A, which a restart of the host took away: orch secret send again.1"
    eventually(lambda: reason(mine, "again") == f"PENDING {said}", "it says what it waits for", 60)
    assert said in mine("show", "again").out
    (machine.home / "go").touch()
    done = mine("secret", "send", "again")
    assert (done.status, done.out) == (0, "box has the secrets of again.1\n")
    assert mine("wait", "again", timeout=90).status == 0
    assert (machine.home / "seen").read_text() == VALUE and waiting(machine) == []
    assert mine("secret", "send", "again").status == 1


def test_where_its_memory_is_full_nothing_is_submitted(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    keep(mine)
    machine.run("mount -o remount,size=64k /dev/shm && head -c 64k /dev/zero >/dev/shm/full", user="root")
    done = mine("run", "job", "--secret", "A", "true", "--json")
    assert (done.status, done.error["kind"]) == (1, "refused")
    assert "no room for secrets in /dev/shm" in done.error["message"] and "df -h /dev/shm" in done.error["hint"]
    assert "job" not in mine("status", "--all").out
    machine.run("rm /dev/shm/full", user="root")
    run(mine, "job", '[ -n "$A" ]', "--wait")


def test_without_memory_for_files_they_wait_on_the_disk_and_that_is_said(machine: Machine, laptop: Laptops) -> None:
    """As on macOS."""
    machine.run("mount -t proc proc /dev/shm", user="root")
    mine = laptop(machine)
    keep(mine)
    done = mine("run", "job", "--secret", "A", GATE)
    assert done.status == 0 and "its disk, for this account alone" in done.err
    [file] = (machine.home / ".orch/secrets").rglob("*")
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    (machine.home / "go").touch()
    assert mine("wait", "job").status == 0 and not file.exists()


def test_a_person_who_lingers_has_them_in_a_directory_of_their_own(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    keep(mine)
    place = 'd=/run/user/$(id -u me); mkdir -p "$d"; mount -t tmpfs x "$d"; chown me "$d"'
    linger = "mount -t tmpfs x /var/lib/systemd; mkdir /var/lib/systemd/linger; touch /var/lib/systemd/linger/me"
    machine.run(f"{place}; {linger}", user="root")
    run(mine, "job", GATE)
    assert waiting(machine) == [] and len(list(machine.seen("/run/user").glob("*/orch-*/*"))) == 1
    (machine.home / "go").touch()
    assert mine("wait", "job").status == 0
    assert list(machine.seen("/run/user").glob("*/orch-*/*")) == []


def test_two_laptops_have_each_their_own_value(machine: Machine, laptop: Laptops) -> None:
    for number in (1, 2):
        mine = laptop(machine)
        keep(mine, f"{VALUE}-{number}")
        run(mine, f"job{number}", f'{GATE}; printf %s "$A" > seen{number}')
    assert len(waiting(machine)) == 2
    (machine.home / "go").touch()
    assert mine("wait", "job1", "job2").status == 0
    assert [(machine.home / f"seen{number}").read_text() for number in (1, 2)] == [f"{VALUE}-1", f"{VALUE}-2"]
    assert waiting(machine) == []
