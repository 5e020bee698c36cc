"""Clones with deploy keys: the real git, ssh and gh, and a forge whose sshd really checks the keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.forge import Forge
from tests.support.github import GitHub, GitHubLaptop
from tests.support.machine import Machine
from tests.support.terminal import Terminal

Laptops = Callable[..., GitHubLaptop]
LROS, OTHER = "octo/lros", "octo/other"
URL = f"git@github.com:{LROS}.git"


@pytest.fixture
def forge(github: GitHub) -> Iterator[Forge]:
    """GitHub's ssh side, with two repositories."""
    one = Forge()
    try:
        one.boot()
        for name in (LROS, OTHER):
            one.repository(name, f"{name}\n")
            github.add_repository(name)
        github.forge = one
        yield one
    finally:
        one.close()


@pytest.fixture
def box(forge: Forge) -> Iterator[Machine]:
    """A machine for which that is github.com."""
    one = Machine("box")
    try:
        forge.is_found_by(one, "github.com")
        one.boot()
        yield one
    finally:
        one.close()


@pytest.fixture
def laptop(at_github: Laptops, forge: Forge, box: Machine) -> GitHubLaptop:
    mine = at_github()
    mine.configure(box)
    forge.stands_in_for("github.com", mine)
    return mine


def add(laptop: GitHubLaptop, *words: str) -> str:
    done = laptop("repo", "add", *words)
    assert done.status == 0, done.err
    return done.out


def titles(forge: Forge, name: str) -> list[tuple[str, bool]]:
    return [(one["title"], one["read_only"]) for one in forge.keys.get(name, [])]


def job(laptop: GitHubLaptop, name: str, command: str) -> tuple[int, str]:
    """The exit status of a job in ~/work, and its log."""
    status = laptop("run", name, "--cwd", "~/work", command, "--wait").status
    return status, laptop("logs", name).out


def test_git_pull_in_a_job_just_works(laptop: GitHubLaptop, forge: Forge, box: Machine) -> None:
    box.write(
        ".ssh/config", "Host *\n    ControlMaster auto\n    ControlPersist 20\n    ControlPath ~/.ssh/%r@%h:%p\n", 0o640
    )
    head = forge.head(LROS)
    assert add(laptop, URL) == f"lros is cloned to ~/work/lros on box (main, {head[:7]})\n"
    assert add(laptop, f"ssh://git@github.com/{OTHER}", "--name", "second").startswith("second is cloned to")
    assert titles(forge, LROS) == titles(forge, OTHER) == [("orch: box", True)]
    keys = [keys[0]["key"] for keys in forge.keys.values()]
    assert len(set(keys)) == 2
    forge.commit(LROS, "NEW", "new\n")
    assert job(laptop, "pull", "cd lros && git pull -q && cat NEW && cd ../second && git pull && cat README") == (
        0,
        f"new\nAlready up to date.\n{OTHER}\n",
    )
    status, said = job(laptop, "push", "cd lros && git push origin HEAD:refs/heads/mine")
    assert status != 0 and "read only" in said
    text = (box.home / ".ssh/config").read_text()
    assert text.splitlines()[0] == 'Include "/home/me/.orch/ssh_config"'
    assert text.endswith("%r@%h:%p\n") and (box.home / ".ssh/config").stat().st_mode & 0o777 == 0o640

    listed = laptop("repo", "list", "--json").json["repos"]
    assert [(one["name"], one["state"], one["branch"], one["write"]) for one in listed] == [
        ("lros", "clean", "main", False),
        ("second", "clean", "main", False),
    ]
    box.run("cd work/lros && echo x >README && echo y >new")
    rows = [line.split() for line in laptop("repo", "list").out.splitlines()]
    assert rows[0] == ["NAME", "URL", "DIR", "BRANCH", "STATE", "KEY"]
    assert rows[1] == ["lros", URL, "/home/me/work/lros", "main", "2", "changed", "read-only"]


def test_a_clone_shows_its_own_key_alone(laptop: GitHubLaptop, forge: Forge, box: Machine) -> None:
    """Where the person has a key of his own for every host, and a jump host on the way to the forge."""
    box.run("ssh-keygen -q -t ed25519 -N '' -f .ssh/mine && cat .ssh/mine.pub >>.ssh/authorized_keys")
    forge.let_person_in(LROS, (box.home / ".ssh/mine.pub").read_text())
    door = f"Host door\n    HostName 127.0.0.1\n    Port {box.port}\n    User me\n"
    box.write(
        ".ssh/config",
        f"Match host github.com\n    ProxyJump door\n{door}"
        "Host *\n    IdentityFile ~/.ssh/mine\n    StrictHostKeyChecking accept-new\n",
        0o600,
    )
    by_person = f"git ls-remote --heads {URL}"
    assert forge.head(LROS) in box.run(by_person).stdout
    add(laptop, URL)
    assert titles(forge, LROS) == [("orch: box", True)]
    assert "proxycommand ssh -W [%h]:%p ssh://door" in (box.home / ".orch/ssh_config").read_text()
    assert job(laptop, "pull", "cd lros && git pull -q")[0] == 0
    status, said = job(laptop, "push", "cd lros && git push origin HEAD:refs/heads/mine")
    assert status != 0 and "read only" in said
    forge.delete_key(LROS, forge.keys[LROS][0]["id"])
    status, said = job(laptop, "denied", "cd lros && git pull")
    assert status != 0 and "Permission denied" in said
    add(laptop, URL)
    assert job(laptop, "mended", "cd lros && git pull -q")[0] == 0
    laptop("repo", "rm", "lros")
    assert job(laptop, "own", "cd lros && git pull -q && git push -q origin HEAD:refs/heads/mine")[0] == 0


def test_the_persons_gitconfig_is_no_obstacle(laptop: GitHubLaptop, forge: Forge, box: Machine) -> None:
    box.write("hooks/post-checkout", "#!/bin/sh\nexit 1\n", 0o755)
    box.write(
        ".gitconfig",
        "[clone]\n\tdefaultRemoteName = upstream\n"
        "[core]\n\thooksPath = ~/hooks\n\tsshCommand = ssh -F /dev/null -i /nonexistent\n",
    )
    add(laptop, URL)
    assert "is at ~/work/lros" in add(laptop, URL)
    assert job(laptop, "pull", "cd lros && git pull -q")[0] == 0
    assert box.run("git -C work/lros config core.hooksPath").stdout == "~/hooks\n"
    (box.home / "work/.orch-clone-lros").mkdir()
    assert laptop("repo", "rm", "lros", "--delete-clone").status == 0
    assert box.run("ls -A work").stdout == ""


def test_no_private_key_comes_to_the_laptop_or_is_seen_by_others(
    laptop: GitHubLaptop, forge: Forge, box: Machine
) -> None:
    add(laptop, URL)
    private = (box.home / ".orch/keys/github.com--octo--lros").read_text()
    assert "OPENSSH PRIVATE KEY" in private
    secret = private.splitlines()[3].encode()
    files = [path for path in laptop.home.rglob("*") if path.is_file()]
    assert files and not [path for path in files if secret in path.read_bytes()]
    modes = box.run("stat -c %a .orch/keys .orch/keys/github.com--octo--lros .ssh/config").stdout.split()
    assert modes == ["700", "600", "600"]


def test_write_is_asked_for_by_name(laptop: GitHubLaptop, forge: Forge) -> None:
    add(laptop, URL)
    add(laptop, URL, "--write")
    assert titles(forge, LROS) == [("orch: box", False)]
    assert job(laptop, "push", "cd lros && git push -q origin HEAD:refs/heads/mine")[0] == 0
    add(laptop, URL)
    assert titles(forge, LROS) == [("orch: box", False)]
    assert "read-write" in laptop("repo", "list").out


def test_add_again_mends_what_is_missing_and_touches_no_change(
    laptop: GitHubLaptop, forge: Forge, box: Machine
) -> None:
    add(laptop, URL)
    box.run("cd work/lros && echo mine >README && echo new >NEW")
    forge.delete_key(LROS, forge.keys[LROS][0]["id"])
    assert "is at ~/work/lros" in add(laptop, URL)
    assert len(forge.keys[LROS]) == 1
    box.run("rm -rf work/lros/.git .orch/ssh_config .ssh/config")
    add(laptop, f"ssh://git@github.com/{LROS}", "--name", "lros")
    assert box.run("cd work/lros && cat README NEW && git status --short").stdout == "mine\nnew\n M README\n?? NEW\n"
    box.run("rm -rf .orch/keys work/lros; mkdir -p work/.orch-clone-lros/.git")
    add(laptop, URL)
    assert job(laptop, "pull", "cd lros && git pull -q")[0] == 0
    assert box.run("ls -A work").stdout == "lros\n"


@pytest.mark.parametrize("step", ["git ls-remote", "git clone", "ssh-keygen"])
def test_killed_at_any_step_it_finishes_the_next_time(
    laptop: GitHubLaptop, forge: Forge, box: Machine, step: str
) -> None:
    program, _, word = step.partition(" ")
    script = f'#!/bin/sh\ncase " $* " in *" {word}"*) kill -9 $PPID; esac\nexec /usr/bin/{program} "$@"\n'
    place = box._place / "bin" / program
    place.write_text(script)
    place.chmod(0o755)
    assert laptop("repo", "add", URL).status == 1
    assert not (box.home / "work/lros").exists()
    place.unlink()
    add(laptop, URL)
    assert titles(forge, LROS) == [("orch: box", True)]
    assert job(laptop, "pull", "cd lros && git pull -q")[0] == 0


def test_two_at_once_make_one_clone_with_one_key(laptop: GitHubLaptop, forge: Forge) -> None:
    with laptop.popen("repo", "add", URL) as one, laptop.popen("repo", "add", URL) as two:
        assert [one.wait(60), two.wait(60)] == [0, 0]
    assert titles(forge, LROS) == [("orch: box", True)]


def test_without_gh_it_says_what_to_paste_where(laptop: GitHubLaptop, forge: Forge, box: Machine) -> None:
    laptop.use(None)
    laptop.env["PATH"] = f"{laptop.bin}:/usr/bin:/bin"
    done = laptop("repo", "add", URL, "--json")
    assert done.status == 4 and done.error["kind"] == "not_authorised"
    public, page, again = done.error["hint"].splitlines()
    assert public.startswith("ssh-ed25519 ") and "https://github.com/octo/lros/settings/keys/new" in page
    assert again.startswith(f"orch repo add {URL} -H box") and "there is no gh here" in done.error["message"]
    assert laptop("repo", "list").out.endswith("  missing  not let in yet\n")
    done = laptop("repo", "rm", "lros")
    assert done.out == "the key of lros on box is gone; there was no clone\n"
    assert "octo/lros may take the deploy key SHA256:" in done.err
    again = laptop("repo", "add", URL, "--json")
    forge.add_key(LROS, again.error["hint"].splitlines()[0], False)
    assert laptop("repo", "add", URL, "--json").json["created"] is True
    forge.stop_sshd()
    done = laptop("repo", "add", URL)
    assert done.status == 1 and "cannot be reached from box" in done.err
    assert "orch ssh box -- ssh -F /home/me/.orch/ssh_config -v -T git@orch-github.com--octo--lros" in done.err


def test_a_person_pastes_it_and_goes_on(laptop: GitHubLaptop, forge: Forge, terminal: Terminal) -> None:
    laptop.log_in(None)
    terminal.start([str(word) for word in laptop.argv("repo", "add", URL)], {**laptop.env, "TERM": "screen"}, width=200)
    shown = terminal.shows("Enter when that is done")
    assert "not logged in" in shown and "settings/keys/new" in shown
    [public] = [line for line in shown.splitlines() if line.startswith("ssh-ed25519 ")]
    terminal.keys("Enter")
    terminal.shows("Permission denied")
    forge.add_key(LROS, public, False)
    terminal.keys("Enter")
    terminal.shows("lros is cloned to ~/work/lros on box")
    terminal.shows("[ended 0]")


def test_who_stands_in_for_the_forge_is_not_believed(laptop: GitHubLaptop, forge: Forge, box: Machine) -> None:
    del laptop.env["ORCH_FORGE_KEYS"]  # github.com is now the one whose keys are published
    done = laptop("repo", "add", URL)
    assert done.status == 1 and "another host key" in done.err
    assert forge.connections() == 0 and not forge.keys


def test_another_forge_is_known_by_the_laptops_own_known_hosts(laptop: GitHubLaptop, forge: Forge) -> None:
    url = f"ssh://git@127.0.0.1:{forge.port}/{LROS}.git"
    done = laptop("repo", "add", url)
    assert done.status == 4 and f"ssh-keyscan -p {forge.port} 127.0.0.1" in done.err
    hosts = laptop.home / ".ssh/known_hosts"
    hosts.parent.mkdir()
    hosts.write_text(f"[127.0.0.1]:{forge.port} {forge.host_key()}\n")
    done = laptop("repo", "add", url)
    assert done.status == 4 and "SHA256:" not in done.out
    forge.add_key(LROS, done.err.split("ssh-ed25519 ")[1].join(["ssh-ed25519 ", ""]), False)
    done = laptop("repo", "add", url)
    assert done.status == 0 and "that this laptop knows: SHA256:" in done.err
    assert job(laptop, "pull", "cd lros && git pull -q")[0] == 0


def test_remove_takes_the_key_from_both_sides_and_never_work(laptop: GitHubLaptop, forge: Forge, box: Machine) -> None:
    add(laptop, URL)
    add(laptop, f"git@github.com:{OTHER}.git")
    assert laptop("repo", "rm", "other").out == "the key of other on box is gone; its clone stays in ~/work/other\n"
    assert forge.keys[OTHER] == [] and len(forge.keys[LROS]) == 1
    assert box.run("git -C work/other remote get-url origin").stdout == f"git@github.com:{OTHER}.git\n"
    who = "-c user.name=Me -c user.email=me@example.invalid"
    box.run(f"cd work/lros && echo x >README && git {who} commit -qam mine && echo y >README && git stash -q || true")
    refused = laptop("repo", "rm", URL, "--delete-clone")
    assert refused.status == 1 and "1 commit that is at no remote" in refused.err
    box.run("cd work/lros && git tag mine && git stash drop -q; git reset -q --hard origin/main")
    assert [one["state"] for one in laptop("repo", "list", "--json").json["repos"]] == ["clean"]
    refused = laptop("repo", "rm", URL, "--delete-clone")
    assert refused.status == 1 and "1 commit that is at no remote" in refused.err
    assert len(forge.keys[LROS]) == 1
    laptop.log_in(None)
    done = laptop("repo", "rm", "lros", "--delete-clone", "--force")
    assert done.status == 0 and "still takes the deploy key SHA256:" in done.err
    assert box.run("ls -A work .orch/keys").stdout == ".orch/keys:\nknown_hosts\nlock\n\nwork:\nother\n"
    assert (box.home / ".ssh/config").read_text() == ""
    assert laptop("repo", "list").out == "orch has cloned nothing on box\n"
    assert laptop("repo", "rm", "lros").status == 1


def test_what_is_something_else_is_left_alone(laptop: GitHubLaptop, forge: Forge, box: Machine) -> None:
    box.run("mkdir -p work/lros && echo precious >work/lros/data && mkdir elsewhere && ln -s ~/elsewhere work/link")
    for words in (["--name", "lros"], ["--name", "link"]):
        done = laptop("repo", "add", URL, *words)
        assert done.status == 1 and "left alone" in done.err
    box.run("git init -q work/mine")
    done = laptop("repo", "add", URL, "--name", "mine")
    assert done.status == 1 or "is a clone of nothing" in done.err
    assert box.run("cat work/lros/data").stdout == "precious\n" and not forge.keys
    add(laptop, URL, "--name", "first")
    done = laptop("repo", "add", URL, "--name", "again")
    assert done.status == 1 and "is cloned to ~/work/first" in done.err
    done = laptop("repo", "add", f"git@github.com:{OTHER}.git", "--name", "first")
    assert done.status == 1 and "is for git@github.com:octo/lros.git" in done.err


def test_a_linked_config_stays_a_link_and_a_directory_is_named(
    laptop: GitHubLaptop, forge: Forge, box: Machine
) -> None:
    box.write("dotfiles/ssh_config", "Host x\n    HostName y\n", 0o600)
    box.run("mkdir .ssh/config")
    done = laptop("repo", "add", URL)
    assert done.status == 1 and "/home/me/.ssh/config cannot be read (Is a directory)" in done.err
    box.run("rmdir .ssh/config; ln -s ../dotfiles/ssh_config .ssh/config")
    add(laptop, URL)
    said = box.run("readlink .ssh/config; cat dotfiles/ssh_config").stdout
    assert said == '../dotfiles/ssh_config\nInclude "/home/me/.orch/ssh_config"\nHost x\n    HostName y\n'


def test_repos_of_the_configuration_are_cloned_by_up(laptop: GitHubLaptop, forge: Forge, box: Machine) -> None:
    repos = [URL, "git@github.com:octo/absent.git", f"git@github.com:{OTHER}.git"]
    laptop.configure(box, more=f"repos = {json.dumps(repos)}\n")
    done = laptop("up", "box")
    assert done.status == 1
    assert [line.split()[0] for line in done.out.splitlines()] == ["lros", "other"]
    assert "absent: " in done.err and "orch repo add git@github.com:octo/absent.git -H box" in done.err


def test_a_host_without_git(laptop: GitHubLaptop, forge: Forge) -> None:
    bare = Machine("bare", without=["git*"])
    try:
        forge.is_found_by(bare, "github.com")
        bare.boot()
        laptop.configure(bare)
        done = laptop("repo", "add", URL)
    finally:
        bare.close()
    assert done.status == 1 and "bare has no git" in done.err and "install -y git" in done.err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["add", "-oProxyCommand=x"], 2, "no option"),
        (["add", "--", "-oProxyCommand=x"], 2, "no address"),
        (["add", "ext::sh -c x"], 2, "no address"),
        (["add", LROS], 2, f"{URL}    # if that is meant"),
        (["add", "git@-oProxyCommand=x:me/lros"], 2, "no address"),
        (["add", "git@github.com:--upload-pack=x/lros"], 2, "no address"),
        (["add", "git@github.com:me/../lros"], 2, "odd"),
        (["add", "git@github.com:me/lros dir"], 2, "no address"),
        (["add", "https://me:secret@github.com/me/lros"], 2, "password"),
        (["add", "http://github.com/me/lros"], 2, "encrypted"),
        (["add", "/srv/lros"], 2, "orch sync"),
        (["add", URL, "--name", "../lros"], 2, "no name"),
        (["add", URL], 1, "git clone"),
        (["mv", URL], 2, "add, list or rm"),
    ],
)
def test_what_is_not_understood(at_github: Laptops, words: list[str], status: int, said: str) -> None:
    mine = at_github()
    mine.configure(more='[hosts.local]\nprovider = "local"\n')
    done = mine("repo", *words)
    assert done.status == status and said in done.err and "secret" not in done.err
