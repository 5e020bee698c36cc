"""What of a clone nobody else has, as git keeps it: whatever is told to hide it, it is found before a clone goes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orch_agent import clones

COMMIT = "git commit -qam mine"


@pytest.fixture
def clone(home: Path) -> Path:
    """~/work/lros, and its forge: a directory."""
    (home / ".gitconfig").write_text(
        "[user]\nname = Me\nemail = me@example.invalid\n"
        '[init]\ndefaultBranch = main\n[protocol "file"]\nallow = always\n'
    )
    place = home / "work/lros"
    place.mkdir(parents=True)
    shell(
        place,
        "git init -q --bare ~/forge.git; git clone -q ~/forge.git .; echo a >a; echo '*.log' >.gitignore; "
        f"git add .; {COMMIT}; git push -q origin HEAD; git branch -qu origin/main",
    )
    return place


def shell(place: Path, command: str) -> None:
    subprocess.run(["bash", "-ec", command], cwd=place, check=True, capture_output=True)


HIDDEN = {
    "untracked": ("git config --global status.showUntrackedFiles no; echo x >new", "1 changed file"),
    "assumed": ("git update-index --assume-unchanged a; echo x >a", "1 file that git is told to overlook"),
    "skipped": ("git update-index --skip-worktree a; echo x >a", "1 file that git is told to overlook"),
    "tag": (f"git checkout -q --detach; echo x >a; {COMMIT}; git tag mine; git checkout -q main", "1 commit that"),
    "ref": (f"echo x >a; {COMMIT}; git update-ref refs/keep/x HEAD; git reset -q --hard origin/main", "1 commit that"),
    "worktree": (f"git worktree add -q --detach ~/other; cd ~/other; echo x >a; {COMMIT}", "1 commit that"),
    "worktree without a commit": ("git worktree add -q ~/other; echo x >~/other/a", "1 linked worktree"),
    "submodule": (
        "git submodule add -q ~/forge.git sub; git config -f .gitmodules submodule.sub.ignore all; git add .; "
        f"{COMMIT}; git push -q origin HEAD; echo x >sub/a",
        "1 changed file in sub",
    ),
    "submodule's commit": (
        "git submodule add -q ~/forge.git sub; git config -f .gitmodules submodule.sub.ignore all; git add .; "
        f"{COMMIT}; git push -q origin HEAD; cd sub; echo x >a; {COMMIT}",
        "1 commit that is at no remote in sub",
    ),
    "ignored": (
        f"git init -q x.log; cd x.log; echo x >a; git add a; {COMMIT}",
        "1 commit that is at no remote in x.log",
    ),
    "stash": ("echo x >a; git stash -q", "1 stash"),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_what_only_this_host_has_is_found(clone: Path, case: str) -> None:
    assert clones.look("lros", closely=True).unpushed == []
    command, said = HIDDEN[case]
    shell(clone, command)
    assert said in ", ".join(clones.look("lros", closely=True).unpushed)


def test_what_the_remote_has_is_not_only_here(clone: Path) -> None:
    """Commits of which a branch was deleted there, and a tag kept; a submodule that stands at one."""
    shell(clone, f"echo x >a; {COMMIT}; git tag v1; git tag -am v2 v2; git push -q origin v1 v2")
    shell(clone, "git reset -q --hard origin/main; git submodule add -q ~/forge.git sub; git -C sub checkout -q v1")
    shell(clone, "git add .; git commit -qm sub; git push -q")
    assert clones.look("lros").unpushed == clones.look("lros", closely=True).unpushed == []
    shell(clone, "mv ~/forge.git ~/away.git")
    assert clones.look("lros", closely=True).unpushed[0] == "1 commit that is at no remote"
    assert clones.look("lros") == clones.State("main", clones.look("lros").head, "clean", [])


def test_one_without_a_commit_is_looked_at(home: Path) -> None:
    place = home / "work/new"
    place.mkdir(parents=True)
    shell(place, "git init -q; git symbolic-ref HEAD refs/heads/new")
    assert clones.look("new", closely=True) == clones.State("new", None, "clean", [])


def test_the_hosts_own_settings_change_no_clone(clone: Path) -> None:
    hook = clone.parent.parent / "hooks/post-checkout"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    shell(clone, "git config --global core.hooksPath ~/hooks; git config --global clone.defaultRemoteName upstream")
    url = str(clone.parent.parent / "forge.git")
    clones.make("second", url, None)
    assert clones.check("second", [url], False) and clones.look("second").state == "clean"
