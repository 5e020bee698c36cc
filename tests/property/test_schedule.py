"""Random queues on a simulated host: what the planner promises holds whatever comes, in whatever order it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from orch_agent.schedule import PATIENCE, Active, Plan, Room, Waiting, plan, reason, reasons

CAPACITY = Room(6, 2.0)
LONGEST = 4000


@dataclass(frozen=True)
class Job:
    """What comes to the queue at ``at``, and for how many seconds it would run; those with a limit end by it."""

    number: int
    at: int
    mem: int
    cpus: float
    takes: int
    limit: int | None

    @property
    def waiting(self) -> Waiting:
        limit = None if self.limit is None else float(self.limit)
        return Waiting(str(self.number), f"job{self.number}", self.mem, self.cpus, limit, float(self.at))


@dataclass
class Host:
    """A host on which jobs start by plan, and the time at which each of them did."""

    jobs: list[Job]
    started: dict[Job, int] = field(default_factory=dict)
    plans: list[tuple[int, Plan]] = field(default_factory=list)

    def running(self, now: int) -> list[Job]:
        return [job for job, at in self.started.items() if at + job.takes > now]

    def active(self, now: int) -> list[Active]:
        """As the planner sees it: when a job without a limit ends, nobody knows."""
        ends = {job: None if job.limit is None else float(self.started[job] + job.limit) for job in self.running(now)}
        return [Active(f"job{job.number}", job.mem, job.cpus, at) for job, at in ends.items()]

    def left(self, now: int) -> Room:
        running = self.running(now)
        return CAPACITY.less(sum(job.mem for job in running), sum(job.cpus for job in running))

    def waiting(self, now: int) -> list[Waiting]:
        return [job.waiting for job in self.jobs if job.at <= now and job not in self.started]

    def moments(self) -> Iterator[int]:
        """The times at which something happens, one after the other."""
        now = -1
        while True:
            ends = [at + job.takes for job, at in self.started.items()]
            coming = [at for at in [*(job.at for job in self.jobs), *ends] if at > now]
            if not coming:
                return
            now = min(coming)
            yield now

    def run(self) -> None:
        for now in self.moments():
            made = plan(float(now), self.left(now), self.active(now), self.waiting(now))
            self.plans.append((now, made))
            for start in made.starts:
                self.started[self.jobs[int(start.id)]] = now
            left = self.left(now)
            assert left.mem >= 0 and left.cpus >= 0, "more was given away than there is"


def queues(limits: bool = False) -> st.SearchStrategy[list[Job]]:
    """Jobs in the order in which they come; ``limits``: every one of them has a time limit."""
    kinds = st.tuples(
        st.sampled_from([0, 0, 0, 1, 300]),
        st.integers(1, CAPACITY.mem),
        st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 2.0]),
        st.integers(1, LONGEST),
        st.integers(0, LONGEST) if limits else st.none() | st.integers(0, LONGEST),
    )
    return st.lists(kinds, min_size=1, max_size=25).map(_numbered)


def _numbered(kinds: list[tuple[int, int, float, int, int | None]]) -> list[Job]:
    jobs, at = [], 0
    for number, (pause, mem, cpus, takes, slack) in enumerate(kinds):
        at += pause
        jobs.append(Job(number, at, mem, cpus, takes, None if slack is None else takes + slack))
    return jobs


@given(queues())
def test_all_start_and_never_more_than_there_is_room_for(jobs: list[Job]) -> None:
    host = Host(jobs)
    host.run()
    assert set(host.started) == set(jobs)


@given(queues())
def test_among_equals_who_came_first_starts_first(jobs: list[Job]) -> None:
    host = Host(jobs)
    host.run()
    for job in jobs:
        equals = [one for one in jobs if (one.mem, one.cpus, one.limit) == (job.mem, job.cpus, job.limit)]
        assert all(host.started[one] <= host.started[job] for one in equals if one.number < job.number)


@given(queues(limits=True))
def test_who_passes_does_not_delay_a_head_whose_turn_is_known(jobs: list[Job]) -> None:
    host = Host(jobs)
    host.run()
    promised: dict[str, float] = {}
    for now, made in host.plans:
        if made.head is not None:
            assert made.head.at is not None and made.head.at >= now
            before = promised.setdefault(made.head.job.id, made.head.at)
            assert made.head.at <= before, "its turn has moved away"
            promised[made.head.job.id] = made.head.at
    for job in jobs:
        assert host.started[job] <= promised.get(str(job.number), host.started[job])


@given(queues())
def test_no_head_starves(jobs: list[Job]) -> None:
    """Once nobody is let by who might delay it, it waits for those at most that run then."""
    host = Host(jobs)
    host.run()
    became: dict[str, int] = {}
    for now, made in host.plans:
        if made.head is not None:
            became.setdefault(made.head.job.id, now)
    for number, now in became.items():
        alone = max(now, jobs[int(number)].at + PATIENCE)
        there = [job for job, at in host.started.items() if at <= alone < at + job.takes]
        ends = [host.started[job] + (job.limit or job.takes) for job in there]
        assert host.started[jobs[int(number)]] <= max([*ends, alone])


def test_what_passes_a_head_is_not_counted_on_to_end_first() -> None:
    """Nobody knows when the job ends that the head waits for: all that pass meanwhile have to fit beside the head."""
    running = [Active("long", 10, 0.0)]
    small = [Waiting(str(number), "small", 4, limit=86400.0) for number in range(5)]
    first = plan(0.0, Room(20, 1.0), running, [Waiting("head", "head", 25), *small])
    assert [job.id for job in first.starts] == ["0"]
    running.append(Active("small", 4, 0.0, 86400.0))
    assert plan(1.0, Room(16, 1.0), running, [Waiting("head", "head", 25), *small[1:]]).starts == []


def test_a_head_that_other_programs_keep_out_holds_up_nobody() -> None:
    """It could not start if all jobs ended; when the others leave, it is the head again."""
    head = Waiting("head", "head", 25, since=-2 * PATIENCE)
    small = [Waiting(str(number), "small", 4) for number in range(5)]
    made = plan(0.0, Room(10, 1.0), [Active("job", 4, 0.0)], [head, *small])
    assert [job.id for job in made.starts] == ["0", "1"]
    assert made.head is not None and reason(made.head, 0.0) == "waits for 25B; other programs leave 14B"
    assert plan(0.0, Room(10, 1.0), [Active("job", 15, 0.0)], [head, *small]).starts == []


@given(queues())
def test_after_a_while_only_those_pass_who_are_sure_to_end_in_time(jobs: list[Job]) -> None:
    host = Host(jobs)
    host.run()
    for now, made in host.plans:
        if made.head is not None and now - made.head.job.since >= PATIENCE:
            passing = [start for start in made.starts if int(start.id) > int(made.head.job.id)]
            for start in passing:
                assert start.limit is not None and made.head.at is not None and now + start.limit <= made.head.at


@given(queues(), st.integers(0, 3000))
def test_everybody_who_waits_is_told_why(jobs: list[Job], at: int) -> None:
    host = Host(jobs)
    for now in host.moments():
        waiting, left, active = host.waiting(now), host.left(now), host.active(now)
        told, made = reasons(float(now), left, active, waiting), plan(float(now), left, active, waiting)
        starts = {job.id for job in made.starts}
        assert set(told) == {job.id for job in waiting} - starts
        for start in made.starts:
            host.started[jobs[int(start.id)]] = now
        if made.head is not None:
            assert made.head.frees is not None
            assert told[made.head.job.id].startswith("waits for ")
            assert made.head.frees in {one.name for one in host.active(now)}
        if now > at:
            return
