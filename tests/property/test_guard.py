"""The guard decides soundly whatever happens, and hosts that obey it come out of every shortage."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from orch_agent import guard
from orch_agent.guard import FROZEN_MOST, Decision, Job
from orch_agent.memory import Memory

MB = 1 << 20
NOW = 1000.0

jobs = st.builds(
    Job,
    id=st.uuids().map(str),
    used=st.integers(0, 4000 * MB),
    reserved=st.none() | st.integers(0, 4000 * MB),
    started_at=st.floats(0, NOW),
    frozen_at=st.none() | st.floats(NOW - 2 * FROZEN_MOST, NOW),
    killed_at=st.none() | st.floats(NOW - 20, NOW),
    can_freeze=st.booleans(),
)


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    total = draw(st.integers(256 * MB, 64 << 30))
    return Memory(total, draw(st.integers(0, total)), draw(st.integers(0, total * 3 // 4)), 4)


crowds = st.lists(jobs, max_size=8)
stalls = st.sampled_from([0.0, 0.1, guard.STALLED, 1.0])


def decide(memory: Memory, stalled: float, crowd: list[Job]) -> Decision:
    return guard.decide(NOW, memory, stalled, crowd)


@settings(max_examples=300)
@given(memory=memories(), stalled=stalls, crowd=crowds)
def test_every_decision_is_sound(memory: Memory, stalled: float, crowd: list[Job]) -> None:
    said = decide(memory, stalled, crowd)
    left, line = guard.left(memory, stalled), guard.line(memory)
    acts = [job for job in (said.freeze, said.thaw, said.kill) if job is not None]
    assert len(acts) <= 1 and all(job in crowd and job.killed_at is None for job in acts)
    if left < line:
        assert said.hold
    else:
        assert said.freeze is None and said.kill is None
    if said.freeze is not None:
        assert left < line // 2 and said.freeze.can_freeze and said.freeze.frozen_at is None
        younger = [job for job in crowd if job.started_at > said.freeze.started_at]
        assert all(
            job.frozen_at is not None or not job.can_freeze or job.killed_at or _small(job, line) for job in younger
        )
    if said.thaw is not None:
        assert said.thaw.frozen_at is not None
    if said.kill is not None:
        assert left < line // 2 and not _small(said.kill, line)
        assert all(guard.excess(job, memory) <= max(0, guard.excess(said.kill, memory)) for job in _able(crowd, line))
        assert not any(job.killed_at is not None and NOW - job.killed_at < 5 for job in crowd)


def _small(job: Job, line: int) -> bool:
    return job.used < line // 16


def _able(crowd: list[Job], line: int) -> list[Job]:
    return [job for job in crowd if job.killed_at is None and not _small(job, line)]


@settings(max_examples=300)
@given(memory=memories(), stalled=stalls, crowd=crowds)
def test_at_the_last_line_somebody_is_killed_where_that_helps(memory: Memory, stalled: float, crowd: list[Job]) -> None:
    line = guard.line(memory)
    is_dying = any(job.killed_at is not None and NOW - job.killed_at < 5 for job in crowd)
    if guard.left(memory, stalled) < line // 4 and _able(crowd, line) and not is_dying:
        assert decide(memory, stalled, crowd).kill is not None


@settings(max_examples=200)
@given(memory=memories(), stalled=stalls, crowd=crowds)
def test_nobody_stays_frozen_for_long(memory: Memory, stalled: float, crowd: list[Job]) -> None:
    """Obeyed again and again, with nothing else happening, the guard ends every freeze in bounded time."""
    crowd = [job._replace(killed_at=None) for job in crowd]
    now = NOW
    for _ in range(10 * len(crowd) + 1):
        said = guard.decide(now, memory, stalled, crowd, thawed_at=now - 1)
        done = said.kill or said.thaw
        if done is None:
            break
        gone = done is said.kill
        memory = memory._replace(available=min(memory.total, memory.available + done.used * gone))
        rest = [job for job in crowd if job is not done]
        crowd = rest if gone else [*rest, done._replace(frozen_at=None, can_freeze=False)]
    overdue = [job for job in crowd if job.frozen_at is not None and now - job.frozen_at >= FROZEN_MOST]
    assert overdue == []


@given(memory=memories(), stalled=stalls)
def test_the_pause_is_short_near_the_line_and_never_too_long(memory: Memory, stalled: float) -> None:
    pause = guard.pause(memory, stalled)
    assert 0.02 <= pause <= 5
    room = guard.left(memory, stalled) - guard.line(memory) // 2
    assert pause * (4 << 30) <= max(room, 0.02 * (4 << 30)) + 1


HOST = Memory(8000 * MB, 0, 800 * MB, 4)


def at(left: int) -> Memory:
    return HOST._replace(available=left * MB)


def job(name: str, used: int, reserved: int | None, started_at: float, **more: float) -> Job:
    return Job(name, used * MB, None if reserved is None else reserved * MB, started_at, **more)


def test_who_promised_and_broke_it_goes_before_who_kept_it() -> None:
    small, large = job("small", 900, 500, 1), job("large", 5000, 6000, 2)
    assert decide(at(100), 0, [small, large]).kill == small


def test_who_promised_nothing_counts_with_its_share() -> None:
    """A sixteenth of the host, 500 MB here, is what it was admitted with."""
    silent, broken = job("silent", 700, None, 1), job("broken", 1500, 1000, 2)
    assert decide(at(100), 0, [silent, broken]).kill == broken
    assert decide(at(100), 0, [silent._replace(used=1200 * MB), broken]).kill == silent._replace(used=1200 * MB)


def test_where_all_kept_their_word_the_youngest_whose_end_is_enough_goes() -> None:
    old, young, tiny = job("old", 3000, 3000, 1), job("young", 2000, 3000, 2), job("tiny", 100, 200, 3)
    assert decide(at(100), 0, [old, young, tiny]).kill == young


def test_first_hold_then_freeze_then_kill() -> None:
    old, young = job("old", 3000, 3000, 1), job("young", 2000, 1000, 2)
    assert decide(at(900), 0, [old, young]) == Decision(False)
    assert decide(at(700), 0, [old, young]) == Decision(True)
    assert decide(at(300), 0, [old, young]) == Decision(True, freeze=young)
    assert decide(at(100), 0, [old, young]) == Decision(True, kill=young)


def test_where_all_wait_for_memory_half_of_it_is_enough_to_act() -> None:
    old, young = job("old", 3000, 3000, 1), job("young", 2000, 1000, 2)
    assert decide(at(700), 1.0, [old, young]).freeze == young


def test_whoever_is_alone_is_not_frozen_for_his_own_sake() -> None:
    alone = job("alone", 7500, 1000, 1)
    assert decide(at(300), 0, [alone]) == Decision(True)
    assert decide(at(300), 0, [alone._replace(frozen_at=NOW - 1)]).kill is not None
    beside_others = job("beside", 3000, 1000, 1)  # other programs have 4.7 GB
    assert decide(at(300), 0, [beside_others]).freeze == beside_others


def test_a_freeze_ends_when_there_is_room_or_its_time_is_over() -> None:
    old, ice = job("old", 4900, 5000, 1), job("ice", 2000, 3000, 2, frozen_at=NOW - 10)
    assert decide(at(900), 0, [old, ice]) == Decision(True, thaw=ice)
    assert decide(at(300), 0, [old, ice]) == Decision(True)
    late = ice._replace(frozen_at=NOW - FROZEN_MOST)
    assert decide(at(300), 0, [old, late]) == Decision(True, thaw=late, spare=True)
    guilty = old._replace(reserved=4000 * MB)
    assert decide(at(300), 0, [guilty, late]) == Decision(True, kill=guilty)


def test_those_who_use_nothing_are_left_alone() -> None:
    idle = [job(f"idle{n}", 10, None, n) for n in range(50)]
    assert decide(at(10), 1.0, idle) == Decision(True)
