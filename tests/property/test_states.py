"""The state functions, and a small world in which everything can happen between any two looks."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orch_agent import wire
from orch_agent.ledger import Record
from orch_agent.model import END_STATES, Ended, JobSpec, Pending, Result, Running, State
from orch_agent.state import Evidence, derive

times = st.floats(0, 1e10)
results = st.builds(
    Result,
    state=st.sampled_from(sorted(END_STATES)),
    exit_code=st.none() | st.integers(0, 255),
    signal=st.none() | st.integers(1, 64),
    reason=st.none() | st.text(max_size=20),
    mem_peak_bytes=st.none() | st.integers(0, 1 << 50),
    cpu_seconds=st.none() | st.floats(0, 1e9),
    log_lost_bytes=st.integers(0, 1 << 50),
    attempt=st.integers(0, 1001),
    cause=st.none() | st.text(max_size=10),
)
ends = st.builds(Ended, at=times, result=results)
boots = st.sampled_from(["", "boot-one", "boot-two"])
BLANK = Record(
    "id", "job", 1, wire.spec_to_json(JobSpec("job", "true")), 1.0, 0, None, None, None, None, None, None, None
)


@st.composite
def records(draw: Any) -> Record:
    record = BLANK
    if draw(st.booleans()):
        boot = draw(st.none() | boots)
        record = record._replace(
            attempt=1, started_at=draw(times), pid=draw(st.integers(1, 1 << 22)), birth="1", boot_id=boot
        )
    if draw(st.booleans()):
        end = draw(ends)
        record = record._replace(ended_at=end.at, result_json=wire.result_to_json(end.at, end.result))
    return record


evidence = st.builds(
    Evidence,
    lock_held=st.booleans(),
    alive=st.booleans(),
    end=st.none() | ends,
    boot_id=boots,
    cancelled=st.booleans(),
    last_sign=times,
    frozen=st.none() | st.just("frozen: the host is short"),
    condemned=st.none() | st.just("the guard killed it"),
)


@settings(max_examples=500)
@given(record=records(), seen=evidence)
def test_what_derive_promises(record: Record, seen: Evidence) -> None:
    state = derive(record, seen)
    if record.ended_at is not None:
        assert record.result_json is not None
        found = wire.result_from_json(record.result_json)
        assert found is not None and state == Ended(record.ended_at, found[1]), "a stored end wins"
    elif seen.end is not None:
        assert state == seen.end, "a written result wins over everything seen"
    elif record.started_at is None:
        assert isinstance(state, Pending), "what was not started cannot have ended"
    elif seen.lock_held:
        assert isinstance(state, Running) and not state.orphaned, "a held lock is the kernel's word"
        assert state.reason == seen.frozen
    elif isinstance(state, Running):
        assert seen.alive and state.orphaned
        assert not (record.boot_id and seen.boot_id and record.boot_id != seen.boot_id), "nothing survives a boot"
    else:
        assert isinstance(state, Ended)
        assert not seen.alive or record.boot_id != seen.boot_id
        unseen = "OUT_OF_MEMORY" if seen.condemned else "NODE_FAIL"
        assert state.result.state == ("CANCELLED" if seen.cancelled else unseen)
        assert (state.result.exit_code, state.result.signal) == (None, None), "nobody saw it"
        assert state.result.reason and state.at >= record.started_at


@given(end=ends)
def test_results_survive_the_file(end: Ended) -> None:
    text = wire.result_to_json(end.at, end.result)
    assert text.isascii()
    assert wire.result_from_json(text) == (end.at, end.result)
    assert wire.result_from_json(text + " " * 100 + "\n") == (end.at, end.result)
    for cut in range(len(text)):
        assert wire.result_from_json(text[:cut]) is None, "half a result is none"


durations = st.floats(0, 1e9)
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF))
specs = st.builds(
    JobSpec,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True),
    command=texts,
    cwd=st.none() | texts,
    env=st.dictionaries(texts, texts, max_size=3),
    tty=st.booleans(),
    keep_children=st.booleans(),
    mem=st.none() | st.integers(1),
    cpus=st.floats(0, 1000),
    mem_max=st.none() | st.integers(1),
    timeout=st.none() | durations,
    retries=st.integers(0, 1000),
    retry_delay=durations,
    nice=st.integers(-100, 100),
    log_max=st.integers(0),
    stall=st.none() | durations,
    after=st.lists(texts, max_size=3).map(tuple),
    array=st.none() | texts,
    code=st.none() | st.fixed_dictionaries({"store": texts, "commit": texts, "share": st.lists(texts, max_size=2)}),
    secrets=st.dictionaries(texts, texts, max_size=3),
)


@given(spec=specs)
def test_specifications_survive_the_wire(spec: JobSpec) -> None:
    text = wire.spec_to_json(spec)
    again = wire.spec_from_json(text)
    assert again == spec and wire.spec_to_json(again) == text
    line = wire.encode({"spec": spec._asdict()})
    assert line.isascii() and line.count(b"\n") == 1 and line.endswith(b"\n")
    assert wire.spec_from(wire.decode(line)["spec"]) == spec
    with_news = {**spec._asdict(), "a_field_of_later": 1}
    assert wire.spec_from(with_news) == spec


class World(RuleBasedStateMachine):
    """One job, its runner, adopters, and one who looks, each moving one step at a time in any order.

    The looker reads the row, the lock, the processes and the result at four different moments, as the real one does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.record = BLANK
        self.result: Ended | None = None
        self.lock: str | None = None
        self.boot = "boot-one"
        self.runner = "none"
        self.adopter = "none"
        self.job = "none"
        self.begun = 0
        self.exit: int | None = None
        self.cancelled = False
        self.rebooted = False
        self.looking = "no"
        self.seen: dict[str, Any] = {}
        self.said: list[State] = []
        self.clock = 2.0

    # The runner

    @precondition(lambda self: self.runner == "none")
    @rule()
    def runner_starts(self) -> None:
        self.runner = "prepared" if self.record.started_at is None and self.record.ended_at is None else "none"
        if self.runner == "prepared":
            self.job = "gated"

    @precondition(lambda self: self.runner == "prepared")
    @rule()
    def runner_locks_and_claims(self) -> None:
        """One transaction: the lock is in place before the row says so."""
        if self.record.started_at is not None or self.record.ended_at is not None:
            self.runner, self.job = "none", "dead"
            return
        self.lock, self.runner = "runner", "claimed"
        self.record = self.record._replace(attempt=1, started_at=self.clock, pid=7, birth="1", boot_id=self.boot)

    @precondition(lambda self: self.runner == "claimed")
    @rule()
    def runner_lets_go(self) -> None:
        self.runner = "watching"
        if self.job == "gated":
            self.job, self.begun = "running", self.begun + 1

    @precondition(lambda self: self.job == "running")
    @rule(code=st.integers(0, 3))
    def job_exits(self, code: int) -> None:
        self.job, self.exit = "dead", code

    @precondition(lambda self: self.runner == "watching" and self.job == "dead")
    @rule()
    def runner_writes_the_result(self) -> None:
        code = self.exit
        state = "CANCELLED" if self.cancelled else "FAILED" if code else "COMPLETED"
        self.result, self.runner = Ended(self.clock, Result(state, code)), "written"

    @precondition(lambda self: self.runner == "written")
    @rule()
    def runner_settles(self) -> None:
        assert self.result is not None
        self._settle(self.result)
        self.runner = "settled"

    @precondition(lambda self: self.runner == "settled")
    @rule()
    def runner_leaves(self) -> None:
        self.runner, self.lock = "gone", None

    @precondition(lambda self: self.runner not in ("none", "gone"))
    @rule(hangup=st.booleans())
    def runner_is_killed(self, hangup: bool) -> None:
        self.runner = "gone" if self.record.started_at is not None else "none"
        if self.lock == "runner":
            self.lock = None
        if self.job == "gated" or (self.job == "running" and hangup):
            self.job, self.exit = "dead", None

    # The adopter

    @precondition(lambda self: self.adopter == "called" and self.lock is None)
    @rule()
    def adopter_takes_over(self) -> None:
        ended = self.record.ended_at is not None or self.result is not None
        self.adopter, self.lock = ("none", self.lock) if ended else ("watching", "adopter")

    @precondition(lambda self: self.adopter == "watching" and self.job == "dead")
    @rule()
    def adopter_writes_the_end(self) -> None:
        state = "CANCELLED" if self.cancelled else "NODE_FAIL"
        self.result = self.result or Ended(self.clock, Result(state, reason="adopted"))
        self._settle(self.result)
        self.adopter, self.lock = "none", None

    @precondition(lambda self: self.adopter == "watching")
    @rule()
    def adopter_is_killed(self) -> None:
        self.adopter, self.lock = "none", None

    # The world

    @rule()
    def time_passes(self) -> None:
        self.clock += 1

    @precondition(lambda self: self.record.started_at is not None)
    @rule()
    def somebody_asks_for_the_end(self) -> None:
        self.cancelled = True

    @precondition(lambda self: self.looking == "no" and not self.rebooted)
    @rule()
    def the_host_restarts(self) -> None:
        self.boot, self.lock, self.rebooted = "boot-two", None, True
        self.runner = "none" if self.record.started_at is None else "gone"
        self.adopter = "none"
        if self.job in ("gated", "running"):
            self.job, self.exit = "dead", None

    def _settle(self, end: Ended) -> None:
        if self.record.ended_at is None:
            self.record = self.record._replace(ended_at=end.at, result_json=wire.result_to_json(end.at, end.result))

    # The looker

    @precondition(lambda self: self.looking == "no")
    @rule()
    def looks_at_the_row(self) -> None:
        self.seen = {"record": self.record}
        self.looking = "lock"

    @precondition(lambda self: self.looking == "lock")
    @rule()
    def looks_at_the_lock(self) -> None:
        self.seen["lock_held"] = self.lock is not None
        self.looking = "processes"

    @precondition(lambda self: self.looking == "processes")
    @rule()
    def looks_at_the_processes(self) -> None:
        self.seen["alive"] = self.seen["lock_held"] or self.job in ("gated", "running")
        self.looking = "result"

    @precondition(lambda self: self.looking == "result")
    @rule()
    def looks_at_the_result_and_says(self) -> None:
        record = self.seen.pop("record")
        state = derive(
            record,
            Evidence(**self.seen, end=self.result, boot_id=self.boot, cancelled=self.cancelled, last_sign=self.clock),
        )
        self.looking = "no"
        if isinstance(state, Ended) and record.ended_at is None:
            assert self.job == "dead", "said to be over while it lives"
            assert self.result in (None, state), "a written result was overlooked"
            self._settle(state)
            state = derive(self.record, Evidence(False, False, None, self.boot, False, 0.0))
        if isinstance(state, Running) and state.orphaned and self.adopter == "none":
            self.adopter = "called"
        self.said.append(state)

    @invariant()
    def it_ran_at_most_once(self) -> None:
        assert self.begun <= 1

    @invariant()
    def states_go_one_way_and_an_end_stays(self) -> None:
        order = [(Pending, Running, Ended).index(type(state)) for state in self.said]
        assert order == sorted(order), self.said
        over = [state for state in self.said if isinstance(state, Ended)]
        assert len(set(over)) <= 1, over
        for state in over:
            if state.result.state in ("COMPLETED", "FAILED"):
                assert self.begun == 1 and state.result.exit_code == self.exit


World.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase
