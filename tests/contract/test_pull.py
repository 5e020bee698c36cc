"""The verb ``pull``: what it finds below a job's directory, and how files come, whatever they are."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orch_agent.sparse import Sum
from tests.contract.test_retention import age, due, passed
from tests.support.agent import Agent, Refused, eventually


def answer(agent: Agent, **request: Any) -> bytes:
    status, out, err = agent.raw("pull", request)
    assert not err, err.decode(errors="replace")
    if status:
        raise Refused(json.loads(out)["error"])
    return out


def listed(agent: Agent, ref: str, *paths: str) -> dict[str, dict[str, Any]]:
    """What there is, by its path, with its base in words."""
    header, *records = map(json.loads, answer(agent, job=ref, paths=list(paths)).splitlines())
    assert header["job"]["name"] == ref.partition(".")[0] and records.pop() == {"v": 1}
    bases = [record["base"] for record in records if "base" in record]
    entries = [record for record in records if "path" in record]
    return {one["path"]: {**one, "base": bases[one["below"]] if "below" in one else None} for one in entries}


def kinds(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {path: entry["kind"] for path, entry in found.items()}


def fetched(agent: Agent, path: Path, size: int = 0, sha256: str = "") -> tuple[list[dict[str, Any]], bytes]:
    """The records of one file, and the bytes between them."""
    out = answer(agent, bases=[str(path.parent)], files=[[0, path.name, size, sha256]])
    records, data = [], b""
    _, _, rest = out.partition(b"\n")
    while rest:
        line, _, rest = rest.partition(b"\n")
        records.append(json.loads(line))
        count = records[-1].get("bytes", 0)
        data, rest = data + rest[:count] + bytes(records[-1].get("hole", 0)), rest[count:]
    return records, data


def hash_of(data: bytes) -> str:
    """The hash of bytes that have come, holes and all."""
    sum_ = Sum()
    sum_.add(data)
    return sum_.hexdigest()


@pytest.fixture
def work(agent: Agent) -> Path:
    """A job's directory, in which it has left things."""
    directory = agent.home / "work [1]"
    directory.mkdir()
    agent.finished("job", "true", cwd=str(directory))
    return directory


def test_what_a_job_puts_out(agent: Agent) -> None:
    agent.finished("job", 'mkdir "$ORCH_OUT/d"; echo 1 >"$ORCH_OUT/d/x"; echo "$ORCH_OUT"', retries=3)
    out = agent.log("job").decode().strip()
    assert out == str(agent.root / "jobs" / agent.show("job")["job"]["id"] / "out")
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o700
    found = listed(agent, "job")
    assert kinds(found) == {"d": "directory", "d/x": "file"} and found["d/x"]["base"] == out
    entry = found["d/x"]
    assert (entry["size"], entry["mtime_ns"]) == (2, os.stat(f"{out}/d/x").st_mtime_ns)
    age(agent, "job.1")
    agent.finished("job", "true")
    due(agent)
    passed(agent)
    eventually(lambda: not os.path.exists(out), "it goes with its run")


def test_one_that_puts_out_nothing_leaves_nothing(agent: Agent) -> None:
    job = agent.finished("job", "true")
    assert not (agent.root / "jobs" / job["id"] / "out").exists()
    assert listed(agent, "job") == {
        "$ORCH_OUT": {"path": "$ORCH_OUT", "kind": "", "why": "there is none", "absent": True, "v": 1, "base": None}
    }


def test_attempts_share_it_whatever_they_make_of_it(agent: Agent) -> None:
    twice = 'echo $ORCH_JOB_ATTEMPT >>"$ORCH_OUT/log"; test $ORCH_JOB_ATTEMPT = 2'
    assert agent.finished("job", twice, retries=2, retry_delay=0.0)["state"] == "COMPLETED"
    (entry,) = listed(agent, "job").values()
    assert (entry["path"], entry["size"]) == ("log", 4)
    replaced = 'rmdir "$ORCH_OUT"; touch "$ORCH_OUT"; test $ORCH_JOB_ATTEMPT = 2'
    assert agent.finished("odd", replaced, retries=2, retry_delay=0.0)["state"] == "COMPLETED"


def test_a_job_that_lets_children_live_keeps_it(agent: Agent) -> None:
    job = agent.finished("job", "true", keep_children=True)
    assert (agent.root / "jobs" / job["id"] / "out").is_dir()


def test_nobody_else_names_it(agent: Agent) -> None:
    with pytest.raises(Refused, match="ORCH_OUT is set by orch itself"):
        agent.submit("job", "true", env={"ORCH_OUT": "/tmp"})


def test_everything_there_can_be(agent: Agent, work: Path) -> None:
    (work / "out/empty").mkdir(parents=True)
    (work / "out/file").write_text("x")
    (work / "out/link").symlink_to("/etc/passwd")
    (work / "out/dangling").symlink_to("nowhere")
    os.mkfifo(work / "out/fifo")
    (work / "out/closed").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(work / "out/socket"))
        found = listed(agent, "job", "out")
    assert kinds(found) == {
        "out": "directory",
        "out/empty": "directory",
        "out/closed": "directory",
        "out/file": "file",
        "out/link": "link",
        "out/dangling": "link",
        "out/fifo": "fifo",
        "out/socket": "socket",
    }
    assert found["out/link"]["target"] == "/etc/passwd"
    assert list(found) == sorted(found, key=lambda path: (path.count("/"), path))
    assert kinds(listed(agent, "job", "/dev/null")) == {"null": "device"}


def test_names_are_bytes(agent: Agent, work: Path) -> None:
    names = [b"\xff\xfe", b"two\nlines", b"caf\xc3\xa9", b"-rf", b" ", b"*", b"\xf0\x9f\x98\x80\xff"]
    for name in names:
        with open(os.fsencode(work) + b"/" + name, "w") as file:
            file.write("x")
    found = listed(agent, "job", ".")
    assert {path.encode("utf-8", "surrogateescape") for path in found} == set(names)
    out = answer(agent, bases=[str(work)], files=[[0, path, 0, ""] for path in found])
    assert out.count(b'"gone"') == 0 and out.count(b'"sha256"') == len(names)
    assert list(listed(agent, "job", "*")) == ["*"], "a name that is there is no pattern"
    os.environ["LC_ALL"] = "C"
    try:
        assert set(listed(agent, "job", ".")) == set(found)
    finally:
        del os.environ["LC_ALL"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("results/a.csv", {"results/a.csv"}),
        ("results/", {"results", "results/a.csv", "results/b.csv", "results/deep", "results/deep/c.csv"}),
        ("./results//deep/.", {"results/deep", "results/deep/c.csv"}),
        ("results/*.csv", {"results/a.csv", "results/b.csv"}),
        ("**/c.csv", {"results/deep/c.csv"}),
        ("**", {"results", "results/a.csv", "results/b.csv", "results/deep", "results/deep/c.csv", "newest", "loop"}),
        ("results/**/*.csv", {"results/a.csv", "results/b.csv", "results/deep/c.csv"}),
        ("r[e]sults/?.csv", {"results/a.csv", "results/b.csv"}),
        ("newest", {"newest", "newest/c.csv"}),
        ("new*", {"newest"}),
        ("../beside", {"beside", "beside/x"}),
        ("~/beside/x", {"x"}),
        ("~/beside/*", {"x"}),
        ("HOME/beside", {"beside", "beside/x"}),
        ("nope", {"nope"}),
        ("no/*", {"no/*"}),
    ],
)
def test_what_a_path_means(agent: Agent, work: Path, asked: str, found: set[str]) -> None:
    (work / "results/deep").mkdir(parents=True)
    for name in ("results/a.csv", "results/b.csv", "results/deep/c.csv"):
        (work / name).write_text("x")
    (work / "newest").symlink_to("results/deep")
    (work / "loop").symlink_to(".")
    (agent.home / "beside").mkdir()
    (agent.home / "beside/x").write_text("x")
    there = listed(agent, "job", asked.replace("HOME", str(agent.home)))
    assert set(there) == found
    for path, entry in there.items():
        is_there = os.path.lexists(os.path.join(entry["base"] or "/nonexistent", path))
        assert is_there != bool(entry.get("absent"))


def test_a_directory_that_nobody_may_read_holds_up_no_other(agent: Agent, work: Path) -> None:
    (work / "out/closed").mkdir(parents=True)
    (work / "out/open").mkdir()
    (work / "out/open/x").write_text("x")
    (work / "out/closed").rmdir()
    (work / "out/closed").symlink_to("closed")  # a link to itself: even root cannot enter it
    found = listed(agent, "job", "out", "out/closed/")
    assert found["out/open/x"]["kind"] == "file" and found["out/closed"]["kind"] == "link"


def test_an_array_has_to_be_told_apart(agent: Agent) -> None:
    agent.call("submit", id="many", spec={"name": "many", "command": "true", "array": "0-1"})
    agent.wait("many")
    with pytest.raises(Refused) as caught:
        answer(agent, job="many", paths=[])
    assert caught.value.hint == "orch pull many.1"
    assert answer(agent, job="many.2", paths=[])


@pytest.mark.parametrize(
    "request_",
    [
        *(
            {"job": "nope"},
            {"job": "job", "paths": "x"},
            {"files": [[0, "x", 0, ""]]},
            {"bases": ["/"], "files": [[0]]},
        ),
        *(
            {"bases": ["/"], "files": ["x"]},
            {"bases": ["/"], "files": [[0, "\0", 0, ""]]},
            {"job": "job", "paths": ["a\0"]},
        ),
    ],
)
def test_requests_that_make_no_sense(agent: Agent, work: Path, request_: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        answer(agent, **request_)
    assert caught.value.kind in ("usage", "not_found")


# Contents


def test_a_file_and_the_rest_of_a_file(agent: Agent, work: Path) -> None:
    data = os.urandom(700_000)
    (work / "x").write_bytes(data)
    (work / "x").chmod(0o751)
    records, got = fetched(agent, work / "x")
    assert got == data and records[0]["from"] == 0
    assert records[-1] == {
        "v": 1,
        "sha256": hashlib.sha256(data).hexdigest(),
        "mode": 0o751,
        "size": len(data),
        "changed": False,
        "mtime_ns": (work / "x").stat().st_mtime_ns,
    }
    for size in (1, 300_000, len(data)):
        records, rest = fetched(agent, work / "x", size, hashlib.sha256(data[:size]).hexdigest())
        assert (records[0]["from"], rest) == (size, data[size:])
        assert records[-1]["sha256"] == hashlib.sha256(data).hexdigest()
    for size, sha256 in ((5, "0" * 64), (len(data) + 1, hashlib.sha256(data).hexdigest())):
        records, got = fetched(agent, work / "x", size, sha256)
        assert (records[0]["from"], got) == (0, data)


def test_hashes_alone(agent: Agent, work: Path) -> None:
    (work / "x").write_text("hello")
    files = [[0, "x", 0, ""], [0, "gone", 0, ""], [0, ".", 0, ""]]
    out = answer(agent, bases=[str(work)], files=files, digest=True)
    _, x, gone, directory = map(json.loads, out.splitlines())
    assert (x["sha256"], x["size"]) == (hashlib.sha256(b"hello").hexdigest(), 5)
    assert "No such file" in gone["gone"] and directory["gone"] == "it is no file any more"


def test_holes_are_told_and_not_sent(agent: Agent, work: Path) -> None:
    with (work / "sparse").open("wb") as file:
        file.seek(64 << 20)
        file.write(b"middle")
        file.truncate(160 << 20)
    out = answer(agent, bases=[str(work)], files=[[0, "sparse", 0, ""]])
    records, data = fetched(agent, work / "sparse")
    assert len(data) == 160 << 20 and hash_of(data) == records[-1]["sha256"]
    assert data.strip(b"\0") == b"middle" and len(out) < 1 << 20


def test_a_huge_hole_is_not_gone_through(agent: Agent, work: Path) -> None:
    """Neither for the contents, nor for the rest, nor for the hash alone: 4 TB of zeros would take an hour each."""
    size = 4 << 40
    with (work / "huge").open("wb") as file:
        file.truncate(size)
        file.seek(size - 4)
        file.write(b"last")
    expected = Sum()
    expected.skip(size - 4)
    have = expected.size, expected.hexdigest()
    expected.add(b"last")
    *_, end = told(agent, work, 0, "")
    assert (end["size"], end["sha256"]) == (size, expected.hexdigest())
    begun, *_, end = told(agent, work, *have)
    assert (begun["from"], begun["size"], end["sha256"]) == (size - 4, size, expected.hexdigest())
    *_, end = told(agent, work, 0, "", digest=True)
    assert (end["size"], end["sha256"]) == (size, expected.hexdigest())


def told(agent: Agent, work: Path, *have: Any, **more: Any) -> list[dict[str, Any]]:
    """The records of ``huge``; the bytes between them are left out."""
    out = answer(agent, bases=[str(work)], files=[[0, "huge", *have]], **more)
    assert len(out) < 1 << 20
    return [json.loads(out[at:].splitlines()[0]) for at in range(len(out)) if out.startswith(b'{"v"', at)][1:]


def test_what_has_become_no_file(agent: Agent, work: Path) -> None:
    os.mkfifo(work / "fifo")
    for name in ("fifo", "gone"):
        records, _ = fetched(agent, work / name)
        assert list(records[0]) == ["v", "gone"]


def test_a_file_that_changes_while_it_is_read(agent: Agent, work: Path) -> None:
    """Read as far as it went; that it is another by now is told. The pipe is full until we read."""
    size = 4 << 20
    for change in ("grows", "shrinks"):
        file = work / change
        file.write_bytes(b"a" * size)
        with agent.popen("pull", {"bases": [str(work)], "files": [[0, change, 0, ""]]}) as process:
            assert process.stdout
            head = process.stdout.read(1000)
            if change == "grows":
                with file.open("ab") as more:
                    more.write(b"b" * size)
            else:
                os.truncate(file, size // 2)
            rest = head + process.stdout.read()
        end = json.loads(rest[rest.rindex(b'{"v"') :])
        assert end["changed"] is True
        assert end["size"] == size if change == "grows" else end["size"] < size
        assert end["sha256"] == hashlib.sha256(b"a" * end["size"]).hexdigest()


def test_memory_does_not_grow_with_a_file(agent: Agent, work: Path) -> None:
    """Of 300 MB no more is held than of none."""
    with (work / "large").open("wb") as file:
        for _ in range(300):
            file.write(bytes(range(256)) * 4096)
    program = (
        "import resource, runpy, sys; sys.argv[:1] = []; sys.path.insert(0, sys.argv[0])\n"
        "import os; real = os._exit\n"
        "def told(status):\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr, flush=True); real(status)\n"
        "os._exit = told\n"
        "from orch_agent.__main__ import main; main()"
    )
    peaks = []
    for name in ("x", "large"):
        request = json.dumps({"bases": [str(work)], "files": [[0, name, 0, ""]]}).encode() + b"\n"
        words = [agent.python, "-I", "-S", "-c", program, str(agent.directory), "pull"]
        done = subprocess.run(words, input=request, capture_output=True, check=True, timeout=60)
        peaks.append(int(done.stderr))
    assert peaks[1] - peaks[0] < 16 << 10, "in KiB; of Darwin bytes"


def test_a_pull_is_use(agent: Agent, work: Path) -> None:
    os.utime(agent.root / "used", (1, 1))
    listed(agent, "job", ".")
    assert (agent.root / "used").stat().st_mtime > 1
