from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from orch.errors import OrchError
from orch.providers.base import Run
from orch.providers.ec2.archive import Archive
from orch.providers.ec2.aws import Aws
from orch.providers.ec2.shape import Shape
from orch_agent.model import JobRef
from tests.support import mockaws
from tests.support.agent import eventually

OLD, NEW = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
SHAPE = Shape("cloud")


def stream(instance: str, name: str, run: int) -> str:
    return f"{instance}_home_ec2-user_logs_{name}_{run}.log"


class Group:
    """A log group as the machine's agent fills it."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.logs = aws.client("logs")
        self.logs.create_log_group(logGroupName="/orch/cloud")
        self.archive = Archive(aws, SHAPE)
        self.start = time.time() - 3600

    def put(self, stream: str, *lines: str, group: str = "/orch/cloud") -> None:
        self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
        events = [{"timestamp": int((self.start + n) * 1000), "message": line} for n, line in enumerate(lines)]
        if events:
            self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    def find(self, ref: str) -> Run:
        found = self.archive.find(JobRef.parse(ref))
        assert found
        return found

    def read(self, ref: str, **only: Any) -> bytes:
        return b"".join(self.archive.lines(self.find(ref), **only))


@pytest.fixture
def group() -> Iterator[Group]:
    with mockaws.account() as aws:
        yield Group(aws)


def end(name: str, run: int, state: str, **more: Any) -> str:
    return json.dumps({"name": name, "run": run, "state": state, **more})


def test_the_newest_run_of_a_name_or_the_one_that_is_said(group: Group) -> None:
    for run in (2, 10, 9):
        group.put(stream(OLD, "train", run), f"this is {run}")
    group.put(stream(OLD, "retrain", 11), "another")
    assert group.read("train") == b"this is 10\n"
    assert group.read("TRAIN.9") == b"this is 9\n"
    assert group.archive.find(JobRef.parse("train.3")) is None
    assert group.archive.find(JobRef.parse("rain")) is None


@pytest.mark.parametrize(
    "name",
    [f"{OLD}/home/ec2-user/logs/a_b/1.log", f"{OLD}__home_ec2-user_logs_a_b_1.log", f"x.{OLD}.ec2-user.logs.a_b.1.log"],
)
def test_a_path_is_known_however_the_agent_writes_it(group: Group, name: str) -> None:
    group.put(name, "here")
    assert group.find("a_b.1").stream == f"/orch/cloud:{name}"
    assert group.archive.find(JobRef.parse("b")) is None


def test_a_name_that_holds_a_path_is_no_other_jobs(group: Group) -> None:
    group.put(stream(OLD, "a_logs_b", 7), "not b")
    assert group.archive.find(JobRef.parse("b")) is None
    assert group.find("a_logs_b").run == 7


def test_what_has_no_letters_of_its_own_is_told_apart_where_it_can_be(group: Group) -> None:
    group.put(stream(OLD, "a_b", 1), "underscore")
    assert group.read("a-b") == b"underscore\n"  # perhaps the agent wrote it so
    group.put(stream(OLD, "a-b", 1), "dash")
    kept = f"/orch/cloud:{stream(OLD, 'a-b', 1)}"
    assert Archive(group.aws, SHAPE).find(JobRef.parse("a-b")) == Run("a-b", 1, None, kept)


def test_the_end_that_was_told_last_counts(group: Group) -> None:
    group.put(stream(OLD, "train", 3), "epoch 1")
    group.put(f"{OLD}/ended", end("train", 3, "FAILED"), "not json", "[]", end("train", 3, "COMPLETED", exit_code=0))
    assert group.find("train").ended == {"name": "train", "run": 3, "state": "COMPLETED", "exit_code": 0}


def test_a_run_that_wrote_nothing_is_known_by_its_end(group: Group) -> None:
    group.put(f"{OLD}/ended", end("Quiet", 1, "COMPLETED"))
    assert group.find("quiet").ended
    assert group.read("quiet") == b""


def test_a_newer_machine_counts_anew_and_no_end_is_taken_from_another(group: Group) -> None:
    group.put(stream(OLD, "train", 1), "the old one")
    group.put(f"{OLD}/ended", end("train", 1, "COMPLETED"), end("old", 4, "FAILED"))
    first = group.logs.describe_log_streams(logGroupName="/orch/cloud")["logStreams"][0]["creationTime"]
    eventually(lambda: time.time() * 1000 > first + 1, "what is made now is newer")
    group.put(stream(NEW, "train", 1), "the new one")
    assert group.read("train") == b"the new one\n"
    assert group.find("train").ended is None
    assert group.find("old").ended


def test_what_was_run_before_and_after_a_move_is_found(group: Group) -> None:
    """Whatever generation the host is thought to be of; another host's name may begin alike."""
    for name in ("/orch/cloud--2", "/orch/cloudy"):
        group.logs.create_log_group(logGroupName=name)
    group.put(stream(OLD, "train", 1), "before")
    group.put(stream(NEW, "train", 2), "after", group="/orch/cloud--2")
    group.put(stream(NEW, "train", 3), "another's", group="/orch/cloudy")
    assert (group.read("train.1"), group.read("train")) == (b"before\n", b"after\n")
    group.put(f"{NEW}/machine", '{"event": "stopped", "why": "moved"}', group="/orch/cloud--2")
    for archive in (Archive(group.aws, SHAPE._replace(generation=2)), Archive(group.aws, SHAPE)):
        stop = archive.stops()
        assert stop and stop.why == "moved"
    assert Archive(group.aws, SHAPE._replace(generation=2)).stops(NEW)


def test_only_the_end_of_a_log_or_what_came_since(group: Group) -> None:
    group.put(stream(OLD, "train", 1), *(f"line {n}" for n in range(100)))
    assert group.read("train", tail=2) == b"line 98\nline 99\n"
    assert group.read("train", tail=0) == b""
    assert group.read("train", since=group.start + 98.5) == b"line 99\n"
    assert group.read("train", since=group.start + 97.5, tail=1) == b"line 99\n"
    assert group.read("train", tail=1000).count(b"\n") == 100


def test_why_it_stopped(group: Group) -> None:
    assert group.archive.stops() is None
    told = [{"at": f"2026-02-1{n}T02:14:00Z", "event": "stopped", "why": f"{n}0 min idle"} for n in (5, 6)]
    group.put(f"{OLD}/machine", *map(json.dumps, told), '{"event": "started"}', "?")
    archive = Archive(group.aws, SHAPE)
    for stop in (archive.stops(), archive.stops(OLD)):
        assert stop and stop.why == "60 min idle" and time.gmtime(stop.at)[:5] == (2026, 2, 16, 2, 14)
    assert archive.stops(NEW) is None


def test_a_stop_without_a_time_has_its_events(group: Group) -> None:
    group.put(f"{OLD}/machine", '{"event": "stopped", "at": "soon"}')
    stop = group.archive.stops()
    assert stop and stop.at == pytest.approx(group.start, abs=0.01)


def test_where_there_is_no_group_there_is_nothing() -> None:
    with mockaws.account() as aws:
        assert Archive(aws, SHAPE).find(JobRef.parse("train")) is None
        assert Archive(aws, SHAPE).stops() is None


def page(way: str, token: str, *messages: str) -> dict[str, Any]:
    other = "nextBackwardToken" if way == "nextForwardToken" else "nextForwardToken"
    return {"events": [{"timestamp": 1, "message": one} for one in messages], way: token, other: "never/asked"}


def test_an_empty_page_is_not_the_end() -> None:
    with mockaws.nobody() as aws, Stubber(aws.client("logs")) as stub:
        common = {"logGroupName": "/orch/cloud", "logStreamName": "s", "limit": 10_000, "startFromHead": True}
        way = "nextForwardToken"
        stub.add_response("get_log_events", page(way, "f/1", "one"), common)
        stub.add_response("get_log_events", page(way, "f/2"), {**common, "nextToken": "f/1"})
        stub.add_response("get_log_events", page(way, "f/3", "two é"), {**common, "nextToken": "f/2"})
        stub.add_response("get_log_events", page(way, "f/3"), {**common, "nextToken": "f/3"})
        lines = Archive(aws, SHAPE).lines(Run("train", 1, None, "/orch/cloud:s"))
        assert list(lines) == [b"one\n", "two é\n".encode()]
        stub.assert_no_pending_responses()


def test_the_last_lines_are_looked_for_backwards_over_pages() -> None:
    with mockaws.nobody() as aws, Stubber(aws.client("logs")) as stub:
        common = {"logGroupName": "/orch/cloud", "logStreamName": "s", "limit": 3, "startFromHead": False}
        way = "nextBackwardToken"
        stub.add_response("get_log_events", page(way, "b/1", "d"), common)
        stub.add_response("get_log_events", page(way, "b/2"), {**common, "nextToken": "b/1"})
        stub.add_response("get_log_events", page(way, "b/3", "a", "b", "c"), {**common, "nextToken": "b/2"})
        lines = Archive(aws, SHAPE).lines(Run("train", 1, None, "/orch/cloud:s"), tail=3)
        assert list(lines) == [b"b\n", b"c\n", b"d\n"]
        stub.assert_no_pending_responses()


def test_a_denied_look_is_told_as_one() -> None:
    with mockaws.nobody() as aws, Stubber(aws.client("logs")) as stub:
        stub.add_client_error("describe_log_groups", "AccessDeniedException", "no")
        with pytest.raises(OrchError, match=r"not allowed: .*DescribeLogGroups") as caught:
            Archive(aws, SHAPE).find(JobRef.parse("train"))
        assert caught.value.kind == "not_authorised"
