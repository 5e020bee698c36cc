"""What a host has left, as its kernel's files tell it: containers of all kinds, limits above limits, macOS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orch_agent import cgroup, darwin, memory, outofmemory
from orch_agent.ledger import Record
from orch_agent.model import CANCELLED, NODE_FAIL, OUT_OF_MEMORY, Ended
from orch_agent.state import Evidence, derive

GB, MB = 1 << 30, 1 << 20
MEMINFO = {"/proc/meminfo": "MemTotal:       33554432 kB\nMemAvailable:   16777216 kB\n"}
Host = Callable[[dict[str, str]], None]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A machine of 32 GB, 16 of them free, whose files are given."""

    def be(files: dict[str, str]) -> None:
        monkeypatch.setattr(cgroup, "read", lambda path: {**MEMINFO, **files}.get(path, ""))
        cgroup.mounts.cache_clear()

    yield be
    cgroup.mounts.cache_clear()


def v2(own: str, root: str = "/") -> dict[str, str]:
    return {
        "/proc/self/cgroup": f"0::{own}\n",
        "/proc/self/mountinfo": f"30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
    }


def v1(own: str, root: str = "/") -> dict[str, str]:
    return {
        "/proc/self/cgroup": f"4:memory:{own}\n1:name=systemd:/\n",
        "/proc/self/mountinfo": f"35 31 0:32 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    }


def test_without_limits_the_machine_counts(host: Host) -> None:
    host(v2("/user.slice"))
    assert memory.measure() == (32 * GB, 16 * GB)


def test_a_container_of_version_2_counts_page_cache_as_free(host: Host) -> None:
    files = {
        "/sys/fs/cgroup/memory.max": str(4 * GB),
        "/sys/fs/cgroup/memory.current": str(3 * GB),
        "/sys/fs/cgroup/memory.stat": f"active_file {GB}\ninactive_file {GB // 2}\nslab_reclaimable {GB // 2}\n",
    }
    host({**v2("/"), **files})
    assert memory.measure() == (4 * GB, 3 * GB)


def test_the_tightest_of_all_groups_above_counts(host: Host) -> None:
    files = {
        "/sys/fs/cgroup/a/memory.max": str(8 * GB),
        "/sys/fs/cgroup/a/memory.current": str(7 * GB),
        "/sys/fs/cgroup/a/b/memory.max": str(6 * GB),
        "/sys/fs/cgroup/a/b/memory.current": str(GB),
        "/sys/fs/cgroup/a/b/orch-jobs/keepers/memory.max": "1",  # our own folders are none of it
    }
    host({**v2("/a/b/orch-jobs/keepers"), **files})
    assert memory.measure() == (6 * GB, GB)


@pytest.mark.parametrize("own", ["/docker/abc", "/docker/abc/orch-jobs/keepers"])
def test_a_container_of_version_1_that_is_shown_itself_as_the_root(host: Host, own: str) -> None:
    files = {
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * GB),
        "/sys/fs/cgroup/memory/memory.usage_in_bytes": str(GB),
        "/sys/fs/cgroup/memory/memory.stat": f"cache 1\ntotal_active_file {GB // 4}\ntotal_inactive_file {GB // 4}\n",
    }
    host({**v1(own, "/docker/abc"), **files})
    assert memory.measure() == (2 * GB, 3 * GB // 2)


def test_no_limit_of_version_1_is_a_number(host: Host) -> None:
    files = {
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes": str(20 * GB),
    }
    host({**v1("/"), **files})
    assert memory.measure() == (32 * GB, 16 * GB)


def test_a_group_outside_of_what_we_are_shown(host: Host) -> None:
    host(v2("/../../elsewhere"))
    assert list(cgroup.lineage("")) == ["/sys/fs/cgroup"]


@pytest.mark.parametrize(
    ("level", "pressure", "left"),
    [(50, 1, 8 * GB), (50, 2, GB - 1), (50, 4, GB // 4), (1, 4, 16 * GB // 100), (50, None, 8 * GB)],
)
def test_macos_is_believed_when_it_says_that_it_is_short(
    monkeypatch: pytest.MonkeyPatch, level: int, pressure: int | None, left: int
) -> None:
    said = {
        "hw.memsize": 16 * GB,
        "kern.memorystatus_level": level,
        "kern.memorystatus_vm_pressure_level": pressure,
    }
    monkeypatch.setattr(darwin, "_number", said.get)
    assert darwin.memory(lambda total: total // 16) == (16 * GB, left)


def test_stalls_are_a_share_of_the_time(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(memory.time, "monotonic", lambda: clock[0])
    pressure = "some avg10=9 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=%d\n"
    host({**v2("/"), "/proc/pressure/memory": pressure % 1_000_000})
    stalls = memory.Stalls()
    host({**v2("/"), "/proc/pressure/memory": pressure % 1_500_000})
    clock[0] += 0.1
    assert stalls.share() == 0  # too soon to tell
    clock[0] += 1.9
    assert stalls.share() == pytest.approx(0.25)


def test_a_limit_of_version_2_takes_the_whole_job(tmp_path: Path) -> None:
    for name in ("memory.max", "memory.swap.max", "memory.oom.group"):
        (tmp_path / name).write_text("max\n" if name == "memory.max" else "0\n")
    (tmp_path / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 2\n")
    group = cgroup.Group(str(tmp_path))
    assert group.limit(100 * MB)
    assert (tmp_path / "memory.max").read_text().startswith(str(100 * MB))
    assert (tmp_path / "memory.oom.group").read_text().startswith("1")
    assert group.oom_kills() == 2 and group.has_met(100 * MB)


def test_a_folder_that_is_no_group_counts_and_limits_nothing(tmp_path: Path) -> None:
    group = cgroup.Group(str(tmp_path))
    assert not group.limit(100 * MB) and not group.freeze() and not group.has_met(100 * MB)
    assert (group.memory(), group.oom_kills(), group.pids()) == (None, None, [])


@pytest.mark.parametrize(
    ("cancelled", "condemned", "state"),
    [(False, "the guard killed it", OUT_OF_MEMORY), (False, None, NODE_FAIL), (True, "the guard killed it", CANCELLED)],
)
def test_a_job_that_the_guard_killed_is_known_to_be_even_if_its_runner_died_too(
    cancelled: bool, condemned: str | None, state: str
) -> None:
    record = Record("id", "job", 1, "{}", 1.0, 1, 2.0, 4242, "1", "boot", None, None, None)
    said = derive(record, Evidence(False, False, None, "boot", cancelled, 3.0, condemned=condemned))
    assert isinstance(said, Ended) and said.result.state == state


def test_a_note_of_the_guard_is_of_one_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCH_HOME", str(tmp_path))
    (tmp_path / "jobs" / "id").mkdir(parents=True)
    record = Record("id", "job", 1, '{"name": "job", "command": "true"}', 1.0, 1, *[None] * 7)
    assert outofmemory.condemn(record, "for want of memory", 5 * MB)
    limit = outofmemory.Limit(record, None)
    assert limit.end(None, 9) == outofmemory.End("guard", "for want of memory", 5 * MB)
    assert limit.end(0, None) is None  # it was faster
    assert outofmemory.condemned(record._replace(attempt=2)) is None
