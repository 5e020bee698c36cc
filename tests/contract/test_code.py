"""Snapshots of working trees on the host: kept, laid out, shared, compared, forgotten."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import Agent, Refused, eventually
from tests.support.snapshots import STORE, Tree, ask


@pytest.fixture
def tree(home: Path) -> Tree:
    return Tree(home / "lros")


def test_a_job_runs_exactly_the_snapshot(agent: Agent, tree: Tree) -> None:
    """Modes, links, bytes, odd names: whatever its .gitattributes say, in the person's own modes."""
    tree.write(".gitattributes", "*.txt text eol=crlf\n*.id ident\n*.w working-tree-encoding=UTF-16\n*.f filter=evil\n")
    tree.write("a.txt", "one\ntwo\n")
    tree.write("b.txt", "one\r\ntwo\r\n")
    tree.write("c.id", "$Id$\n")
    tree.write("d.w", "text")
    tree.write("e.f", "text")
    tree.write("run", "#!/bin/sh\necho ran\n", 0o755)
    tree.write("binary", bytes(range(256)) * 300)
    tree.write("deep/er/empty", b"")
    odd = [b'a "quoted" \\name', b"new\nline", b"\xff\xfe", b"-rf", b"tab\there", "é".encode()]
    for name in odd:
        (tree.path / os.fsdecode(name)).write_bytes(name)
    (tree.path / "to-run").symlink_to("run")
    (tree.path / "dangling").symlink_to("/nowhere/at all")
    job = tree.submit(agent, "train", "../../run && umask && pwd", tree.take(), cwd="deep/er")
    assert agent.wait("train")["state"] == "COMPLETED" and agent.log("train").startswith(b"ran")
    code = agent.root / "jobs" / job["id"] / "code"
    assert job["cwd"] == f"{code}/deep/er"
    assert agent.log("train").splitlines()[-1].decode() == str(code / "deep" / "er")
    compared = subprocess.run(["diff", "-r", "--no-dereference", "-x", ".git", tree.path, code], capture_output=True)
    assert (compared.returncode, compared.stdout, compared.stderr) == (0, b"", b"")
    umask = int(agent.log("train").splitlines()[-2], 8)
    for path in code.rglob("*"):
        found = path.lstat().st_mode
        if stat.S_ISREG(found):
            assert stat.S_IMODE(found) == (0o777 if path.name == "run" else 0o666) & ~umask
    assert {os.fsencode(name) for name in os.listdir(code)} >= set(odd)


def test_jobs_of_different_snapshots_do_not_see_each_other(agent: Agent, tree: Tree) -> None:
    tree.write("x", "1\n")
    first = tree.take()
    tree.write("x", "2\n")
    second = tree.take()
    tree.submit(agent, "one", "cat x; echo changed > x", first)
    tree.submit(agent, "two", "cat x", second)
    tree.submit(agent, "three", "cat x", first)
    agent.wait("one", "two", "three")
    assert [agent.log(name) for name in ("one", "two", "three")] == [b"1\r\n", b"2\r\n", b"1\r\n"]


def test_a_change_is_sent_as_a_change(agent: Agent, tree: Tree) -> None:
    for number in range(50):
        tree.write(f"d{number % 7}/f{number}", os.urandom(2000))
    base = tree.take()
    assert tree.send(agent, base) == {"v": 1, "received": True, "share": f"{agent.root}/code/{STORE}/share"}
    tree.write("d0/f0", "changed\n")
    commit = tree.take()
    assert len(tree.pack(commit, base)) < 2000
    tree.send(agent, commit, base)
    assert ask(agent, "receive", {"store": STORE, "commit": commit})["received"]
    agent.finished("train", "cat d0/f0; ls d*/* | wc -l", code=tree.code(commit))
    assert agent.log("train").split() == [b"changed", b"50"]


def test_what_is_not_there_is_said_to_be_lacking(agent: Agent, tree: Tree) -> None:
    tree.write("x", os.urandom(9000))
    tree.write("y", "1")
    base = tree.take()
    tree.write("y", "2")
    commit = tree.take()
    requests: list[tuple[str, dict[str, object], bytes]] = [
        ("receive", {"store": STORE, "commit": commit}, b""),
        ("submit", {"id": "a1", "spec": {"name": "train", "command": "true", "code": tree.code(commit)}}, b""),
        ("receive", {"pack": tree.fields(commit, len(tree.pack(commit, base)), base)}, tree.pack(commit, base)),
        ("receive", {"pack": tree.fields(commit, 10**6, base), "announce": True}, b""),
    ]
    for verb, request, payload in requests:
        with pytest.raises(Refused) as refused:
            ask(agent, verb, request, payload)
        assert refused.value.kind == "no_code", (verb, request)
    # Nor is a change of what is there, where something of the rest is missing.
    tree.send(agent, base)
    (blob,) = tree.git("rev-parse", f"{base}:x").split()
    store = agent.root / "code" / STORE / "git"
    pack = next((store / "objects" / "pack").glob("*.pack"))
    data = pack.read_bytes()
    for one in (store / "objects" / "pack").iterdir():
        one.unlink()
    subprocess.run(["git", "--git-dir", store, "unpack-objects", "-q"], input=data, check=True)
    (store / "objects" / blob[:2].decode() / blob[2:].decode()).unlink()
    other = Tree(agent.home / "elsewhere", laptop="ff" * 8)
    with pytest.raises(Refused) as refused:
        other_fields = {**tree.fields(commit, len(tree.pack(commit, base)), base), "laptop": other.laptop}
        (store / "refs" / "orch" / "laptops" / tree.laptop).unlink()
        ask(agent, "receive", {"pack": other_fields}, tree.pack(commit, base))
    assert refused.value.kind == "no_code"
    assert tree.send(agent, commit)["received"]  # all of it mends that


def test_a_long_pack_is_announced(agent: Agent, tree: Tree) -> None:
    tree.write("x", os.urandom(3_000_000))
    commit = tree.take()
    data = tree.pack(commit)
    process = agent.popen("receive", {"pack": tree.fields(commit, len(data)), "announce": True})
    assert process.stdin and process.stdout and process.stderr
    with process:
        assert json.loads(process.stdout.readline()) == {"v": 1, "ready": True}
        process.stdin.write(data)
        process.stdin.flush()  # and it stays open
        assert json.loads(process.stdout.readline())["received"] is True
    assert agent.finished("train", "wc -c < x", code=tree.code(commit))["state"] == "COMPLETED"


def test_the_tasks_of_an_array_share_one_tree(agent: Agent, tree: Tree) -> None:
    tree.write("x", "1\n")
    commit = tree.take()
    job = tree.submit(agent, "sweep", "cat x; echo $ORCH_ARRAY_TASK >> seen", commit, array="0-5")
    agent.wait("sweep")
    code = agent.root / "jobs" / job["array_id"] / "code"
    assert sorted((code / "seen").read_text().split()) == list("012345")
    assert job["cwd"] == str(code)


def test_attempts_share_the_tree(agent: Agent, tree: Tree) -> None:
    tree.write("x", "1\n")
    tree.submit(agent, "train", "test -e been || { touch been; exit 1; }", tree.take(), retries=1, retry_delay=0.01)
    assert agent.wait("train")["state"] == "COMPLETED"


def test_shared_directories_are_one_for_all_runs(agent: Agent, tree: Tree) -> None:
    tree.write("data/old", "in the snapshot")
    tree.write("x", "1")
    commit = tree.take()
    for name in ("one", "two"):
        tree.submit(
            agent, name, "echo hello >> data/new; echo > a/b/c/there; wc -l < data/new", commit, "data", "a/b/c"
        )
        assert agent.wait(name)["state"] == "COMPLETED", agent.log(name)
    assert agent.log("two").split() == [b"2"]
    share = agent.root / "code" / STORE / "share"
    assert sorted(os.listdir(share / "data")) == ["new"] and os.listdir(share / "a" / "b" / "c") == ["there"]


@pytest.mark.parametrize(
    ("share", "said"), [("x", "'x' is no directory"), ("x/below", "'x' is no directory"), ("out/y", "'out'")]
)
def test_what_cannot_be_shared_ends_the_job_in_words(agent: Agent, tree: Tree, share: str, said: str) -> None:
    tree.write("x", "1")
    (tree.path / "out").symlink_to(agent.home)
    tree.submit(agent, "train", "touch began", tree.take(), share)
    job = agent.wait("train")
    assert job["state"] == "NODE_FAIL" and said in job["reason"]
    assert said in agent.show("train")["why"]
    assert not (agent.home / "y").exists()


def test_a_directory_that_the_snapshot_has_not_ends_the_job_in_words(agent: Agent, tree: Tree) -> None:
    tree.write("x", "1")
    tree.submit(agent, "train", "true", tree.take(), cwd="no/such")
    job = agent.wait("train")
    assert (job["state"], job["started_at"]) == ("NODE_FAIL", None)
    assert "the snapshot has no directory 'no/such'" in job["reason"]


def test_it_begins_behind_links_that_lead_to_its_code(agent: Agent, tree: Tree) -> None:
    """Its own, and those to what runs share, wherever the person has put that; but no others."""
    tree.write("src/x", "1")
    (tree.path / "inside").symlink_to("src")
    (tree.path / "outside").symlink_to(agent.home)
    large, share = agent.home / "large", agent.root / "code" / STORE / "share"
    large.mkdir()
    share.mkdir(parents=True)
    (share / "data").symlink_to(large)
    commit = tree.take()
    for name, said in {"inside": "/src", "data": str(large)}.items():
        tree.submit(agent, name, "pwd -P", commit, "data", cwd=name)
        assert agent.wait(name)["state"] == "COMPLETED" and agent.log(name).decode().strip().endswith(said)
    tree.submit(agent, "outside", "pwd -P", commit, "data", cwd="outside")
    ended = agent.wait("outside")
    assert ended["state"] == "NODE_FAIL" and f"leads out of its code, to '{agent.home}'" in ended["reason"]


def test_hostile_trees_reach_nothing(agent: Agent, tree: Tree) -> None:
    """Neither what comes through the door, nor what git does not take there put past it."""
    target = agent.home / "target"
    target.mkdir()
    link, file = tree.blob(os.fsencode(target)), tree.blob(b"evil")
    below = tree.tree(("100644", b"evil", file))
    hostile = {
        "dot-git": [("40000", b".git", below)],
        "DOT-GIT": [("40000", b".GIT", below)],
        "up": [("40000", b"..", below)],
        "through": [("120000", b"a", link), ("40000", b"a", below)],
        "slash": [("100644", b"../target/evil", file)],
        "twice": [("100644", b"a", file), ("100644", b"a", file)],
    }
    for name, entries in hostile.items():
        job = tree.submit(agent, name, "true", tree.commit(tree.tree(*entries)))
        assert agent.wait(job["name"])["state"] == "NODE_FAIL", name
    tree.write("x", "1")
    tree.send(agent, tree.take())
    store = agent.root / "code" / STORE / "git"
    for number, (name, entries) in enumerate(hostile.items()):
        commit = tree.commit(tree.tree(*entries))
        subprocess.run(["git", "--git-dir", store, "unpack-objects", "-q"], input=tree.pack(commit), check=True)
        job = agent.finished(f"j{number}", "true", code=tree.code(commit))
        assert job["state"] == "NODE_FAIL" and "its code cannot be laid out" in job["reason"], (name, job["reason"])
        assert os.listdir(target) == [] and not (agent.root / "jobs" / job["id"] / "code").exists()
    assert "one and the same on this host's file system" in job["reason"]


def test_what_git_would_not_check_out_are_files_like_others(agent: Agent, tree: Tree) -> None:
    file, module = tree.blob(b"1"), tree.blob(b'[submodule "-a"]\n\tpath=-a\n\turl=-x\n\tupdate=!sh\n')
    line = tree.blob(b"a" * 5000 + b" text\n")
    names = [b"git~1", b"GIT~2", b".git.", b".git ", ".g\u200cit".encode(), b".git::$INDEX_ALLOCATION"]
    entries = [*((name, file) for name in names), (b".gitmodules", module), (b"GITMOD~1", module)]
    entries.append((b".gitattributes", line))
    commit = tree.commit(tree.tree(*(("100644", name, one) for name, one in sorted(entries))))
    tree.submit(agent, "odd", "ls -A | wc -l", commit)
    assert agent.wait("odd")["state"] == "COMPLETED" and agent.log("odd").split() == [b"9"]
    below = tree.tree(("100644", b"x", file))
    commit = tree.commit(tree.tree(("40000", b".gitattributes", below), ("40000", b".gitmodules", below)))
    tree.submit(agent, "below", "cat .git*/x", commit)
    assert agent.wait("below")["state"] == "COMPLETED" and agent.log("below").split() == [b"11"]


def test_a_submodule_s_commit_is_an_empty_directory(agent: Agent, tree: Tree) -> None:
    commit = tree.commit(tree.tree(("160000", b"sub", "12" * 20)))
    tree.submit(agent, "train", "ls -A sub | wc -l", commit)
    assert agent.wait("train")["state"] == "COMPLETED" and agent.log("train").split() == [b"0"]


def test_nobody_s_configuration_of_git_counts(agent: Agent, tree: Tree) -> None:
    ran = agent.home / "ran"
    hook = agent.home / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    (agent.home / ".gitconfig").write_text(
        f"[core]\nhooksPath = {hook.parent}\nautocrlf = true\nfsmonitor = {hook}\n[diff]\nexternal = {hook}\n"
    )
    agent.env.update(GIT_DIR="/nowhere", GIT_OBJECT_DIRECTORY="/nowhere", GIT_EXTERNAL_DIFF=str(hook))
    tree.write("x", "1\n")
    tree.submit(agent, "one", "cat x", tree.take())
    tree.write("x", "2\n")
    tree.submit(agent, "two", "cat x", tree.take())
    agent.wait("one", "two")
    status, out, _ = agent.raw("diff", {"jobs": ["one", "two"]})
    assert status == 0 and b"-1\n+2\n" in out
    assert agent.log("one") == b"1\r\n" and not ran.exists()


def test_a_host_without_git_says_what_to_install(agent: Agent, tree: Tree, home: Path) -> None:
    tree.write("x", "1")
    commit = tree.take()
    data = tree.pack(commit)
    (home / "bin").mkdir()
    (home / "bin" / "apt-get").symlink_to("/bin/true")
    agent.env["PATH"] = str(home / "bin")
    with pytest.raises(Refused, match="this host has no git") as refused:
        ask(agent, "receive", {"pack": tree.fields(commit, len(data))}, data)
    assert refused.value.hint.endswith("apt-get install -y git") and refused.value.kind == "host"
    del agent.env["PATH"]


def diffed(agent: Agent, **request: object) -> tuple[dict[str, object], bytes]:
    status, out, err = agent.raw("diff", request)
    assert (status, err) == (0, b""), (out, err)
    header, _, rest = out.partition(b"\n")
    return json.loads(header), rest


def test_what_ran_is_compared(agent: Agent, tree: Tree) -> None:
    tree.write("x", "1\r\n")
    tree.write("dir/y", "same")
    tree.submit(agent, "train", "true", tree.take())
    tree.write("x", b"2\r\n")
    tree.write("dir/z", b"\0binary")
    second = tree.take()
    agent.wait("train")
    tree.submit(agent, "train", "true", second)
    header, out = diffed(agent, jobs=["train.1", "train.2"], options=["--stat"])
    assert (header["from"]["run"], header["to"]["run"]) == (1, 2)  # type: ignore[index]
    assert b"2 files changed" in out
    assert b"-1\r\n+2\r\n" in diffed(agent, jobs=["train.1", "train.2"], paths=["x"])[1]
    header, out = diffed(agent, jobs=["train.1"], store=STORE, commit=second, options=["--name-only"])
    assert header["to"] is None and out.split() == [b"dir/z", b"x"]
    assert diffed(agent, jobs=["train.2"], store=STORE, commit=second)[1] == b""


def test_what_cannot_be_compared_is_refused_in_words(agent: Agent, tree: Tree) -> None:
    tree.write("x", "1")
    tree.submit(agent, "train", "true", tree.take())
    other = Tree(agent.home / "other", "other-1")
    other.write("x", "1")
    other.submit(agent, "other", "true", other.take())
    agent.finished("plain", "true")
    for request, said, kind in (
        ({"jobs": ["train", "plain"]}, "was run without --sync", "refused"),
        ({"jobs": ["train", "other"]}, "different repositories", "refused"),
        ({"jobs": ["train"]}, "two are compared", "usage"),
        ({"jobs": ["train"], "store": STORE, "commit": "00" * 20}, "no such snapshot", "no_code"),
        ({"jobs": ["train", "train"], "options": ["--output=/tmp/x"]}, "no option '--output=/tmp/x'", "usage"),
    ):
        with pytest.raises(Refused, match=said) as refused:
            agent.call("diff", **request)
        assert refused.value.kind == kind


def test_a_comparison_ends_when_nobody_reads_it(agent: Agent, tree: Tree) -> None:
    tree.write("x", "\n".join(map(str, range(400_000))))
    tree.submit(agent, "train", "true", tree.take())
    tree.write("x", "\n".join(map(str, range(1, 800_000, 2))))
    commit = tree.take()
    tree.send(agent, commit)
    process = agent.popen("diff", {"jobs": ["train"], "store": STORE, "commit": commit})
    assert process.stdin and process.stdout and process.stderr
    assert b'"from"' in process.stdout.readline()
    process.stdout.close()
    eventually(lambda: process.poll() is not None, "it has ended")
    process.stdin.close()
    process.stderr.close()


@pytest.mark.parametrize("key", ["array", None])
def test_a_lost_ledger_knows_the_code_again(agent: Agent, tree: Tree, key: str | None) -> None:
    tree.write("x", "1\n")
    commit = tree.take()
    spec = {"array": "0-1"} if key else {}
    tree.submit(agent, "train", "sleep 60", commit, "data", env={"A": "b"}, secrets={"TOKEN": "KEPT"}, **spec)
    agent.running("train.1")
    before = agent.show("train.1")["spec"]
    for path in agent.root.glob("ledger.db*"):
        path.unlink()
    after = agent.show("train.1")
    assert after["spec"] == before and after["spec"]["secrets"] == {"TOKEN": "KEPT"}
    assert after["job"]["code"] == tree.code(commit, "data")


def test_how_many_programs_a_submission_with_its_code_starts(agent: Agent, tree: Tree, home: Path) -> None:
    """One agent; git once to take the change apart, once to see that nothing is missing."""
    tree.write("x", "1\n")
    base = tree.take()
    tree.send(agent, base)
    tree.write("x", "2\n")
    commit = tree.take()
    traced = home / "traced"
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    (home / "bin").mkdir()
    (home / "bin" / "git").write_text(f'#!/bin/sh\necho "$3" >> {traced}\nexec {real} "$@"\n')
    (home / "bin" / "git").chmod(0o755)
    agent.env["PATH"] = f"{home / 'bin'}:{os.environ['PATH']}"
    data = tree.pack(commit, base)
    spec = {"name": "train", "command": "cat x", "code": tree.code(commit)}
    ask(agent, "submit", {"id": "one", "spec": spec, "pack": tree.fields(commit, len(data), base)}, data)
    seen = traced.read_text().split()
    assert [one for one in seen if one not in ("ls-tree", "cat-file")] == ["index-pack", "rev-list"]
    traced.unlink()
    ask(agent, "submit", {"id": "two", "spec": {**spec, "name": "again"}})
    agent.wait("train", "again")
    assert set(traced.read_text().split() if traced.exists() else ()) <= {"ls-tree", "cat-file"}
