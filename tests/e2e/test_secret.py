"""``orch secret`` and ``--secret``: from a prompt to a job's environment, and nowhere else on the way."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import join
from urllib.parse import quote

import pytest

from tests.support.agent import eventually
from tests.support.cli import Done, Orch
from tests.support.laptop import Laptop
from tests.support.machine import Machine
from tests.support.terminal import Terminal

VALUE = "canary-7f3a9c-plain"
OTHER = "canary-other/+?&=51"


def done(told: Done) -> Done:
    assert told.status == 0, told.err
    return told


def keep(orch: Orch, name: str = "A", value: str = VALUE, *words: str) -> None:
    done(orch("secret", "set", name, *words, input=f"{value}\n".encode()))


def test_set_list_and_rm(orch: Orch) -> None:
    assert orch("secret", "list").out == "no secrets are kept for local\n"
    told = done(orch("secret", "set", "API_TOKEN", input=f"{VALUE}\n".encode()))
    assert told.out == "API_TOKEN is set for local, in the keychain of this machine\n"
    keep(orch, "B")
    assert orch("secret", "list").out == "API_TOKEN\nB\n"
    assert [one["name"] for one in orch("secret", "list", "--json").json["secrets"]] == ["API_TOKEN", "B"]
    assert orch("secret", "rm", "B").status == 0
    again = orch("secret", "rm", "B", "--json")
    assert (again.status, again.error["kind"]) == (1, "not_found")
    assert orch("secret", "list").out == "API_TOKEN\n"


def test_a_prompt_shows_nothing(orch: Orch, terminal: Terminal) -> None:
    terminal.start([str(word) for word in orch.argv("secret", "set", "A")], {**orch.env, **_KEYRING})
    terminal.shows("Value of A (is not shown):")
    terminal.types(VALUE)
    terminal.keys("Enter")
    assert VALUE not in terminal.shows("[ended 0]")
    assert done(orch("run", "job", "--secret", "A", "--wait", f"[ ${{#A}} = {len(VALUE)} ]"))


def test_what_is_pasted_at_the_prompt_is_kept_whole_or_not_at_all(orch: Orch, terminal: Terminal) -> None:
    """A line is no shorter than it was; of several nothing is kept, and none goes on to the shell."""

    sets = (join(map(str, orch.argv("secret", "set", name))) for name in "ABC")
    script = "; ".join(f'{one}; read -r -t 1 left; echo "[set $? $left]"' for one in sets)
    terminal.start(["bash", "-c", script], {**orch.env, **_KEYRING})

    def pasted(name: str, *texts: str) -> None:
        terminal.shows(f"Value of {name} (is not shown):")
        for text in texts:
            terminal.types(text)

    long = "canary" + "0123456789" * 600
    pasted("A", *(long[at : at + 1000] for at in range(0, len(long), 1000)), "\n")
    pasted("B", "-----BEGIN-----\ncanary\n-----END-----")
    pasted("C", "wrong\x15pä\x7fass é!\n")
    shown = terminal.shows("[ended 0]")
    assert "canary" not in shown and shown.count("[set 142 ]") == 3
    assert "several lines" in shown and "secret set B < FILE" in shown
    assert orch("secret", "list").out == "A\nC\n"
    check = f"[ ${{#A}} = {len(long)} -a \"$C\" = 'pass 'é! ]"
    assert done(orch("run", "job", "--secret", "A", "--secret", "C", "--wait", check))


_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring"}


@pytest.mark.parametrize(
    ("words", "input_", "said"),
    [
        (["set", "A", VALUE], "", "a value is never an argument"),
        (["set", f"A={VALUE}"], "", "this is no name of a secret"),
        (["set", "A", "--value", VALUE], "", "'--value' is no option"),
        (["set", "A", f"-----BEGIN {VALUE}"], "", "is no option"),
        (["set", f"--{VALUE}"], "", "is no option"),
        (["set", VALUE, "A"], "", "a value is never an argument"),
        (["set", "A"], "\n", "the value is empty"),
        (["set", "A"], "x" * 131_001, "131001 bytes, and the keychain of this machine keeps 131000"),
        (["set", "A"], "a\0b", "a zero byte"),
        (["set", "A"], b"\xff\xfe", "no text in UTF-8"),
        (["send", "job", VALUE], "", "a value is never an argument"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_not_repeated(
    orch: Orch, words: list[str], input_: str | bytes, said: str
) -> None:
    told = orch("secret", *words, input=input_ if isinstance(input_, bytes) else input_.encode())
    assert told.status in (1, 2) and said in told.err
    assert VALUE not in told.err + told.out and orch("secret", "list").out.startswith("no secrets")


def test_a_short_one_is_said_to_be_seen(orch: Orch) -> None:
    assert "shorter than 6 bytes" in orch("secret", "set", "PIN", input=b"1234\n").err
    assert "they show" in orch("secret", "set", "SA", input=b'{"private_key": "x"}\n').err


def test_without_a_keychain_it_is_said_what_mends_it(orch: Orch) -> None:
    for backend in ("keyring.backends.fail.Keyring", "keyring.backends.null.Keyring"):
        told = orch("secret", "set", "A", input=VALUE.encode(), env={"PYTHON_KEYRING_BACKEND": backend})
        assert told.status == 1 and "keychain" in told.err and "keyring diagnose" in told.err and VALUE not in told.err


def test_without_keyring_it_is_said_how_to_get_it(orch: Orch, tmp_path: Path) -> None:
    (tmp_path / "keyring.py").write_text("raise ImportError\n")
    told = orch("secret", "list", env={"PYTHONPATH": str(tmp_path)})
    assert told.status == 1 and "pip install 'orch-cloud[keyring]'" in told.err
    assert done(orch("run", "job", "true", "--wait", env={"PYTHONPATH": str(tmp_path)}))


def test_one_that_is_not_kept_is_refused_before_anything_is_submitted(orch: Orch) -> None:
    told = orch("run", "job", "--secret", "A", "true", "--json")
    assert (told.status, told.error["kind"], told.error["hint"]) == (1, "refused", "orch secret set A -H local")
    told = orch("run", "job", "--secret", "A=canary_as_a_name", "true")
    assert told.status == 1 and "canary" not in told.err
    told = orch("run", "job", "--secret", f"A={VALUE}", "true")
    assert told.status == 2 and VALUE not in told.err
    keep(orch)
    told = orch("run", "job", "--secret", "A", f"curl -u me:{VALUE} x")
    assert told.status == 2 and "in single quotes" in told.err and VALUE not in told.err
    coded = base64.b64encode(f"me:{VALUE}".encode()).decode()
    told = orch("run", "job", "--secret", "A", f"curl -H 'Authorization: Basic {coded}' x")
    assert told.status == 2 and "in single quotes" in told.err and coded not in told.err
    keep(orch, "O", OTHER)
    told = orch("run", "job", "--secret", "O", "--env", f"URL=https://x/?token={quote(OTHER, safe='')}", "true")
    assert told.status == 2 and "--env sets a variable to the value of the secret O" in told.err
    told = orch("run", "job", "--secret", "A", "--env", f"B=x{VALUE}", "true")
    assert told.status == 2 and VALUE not in told.err
    assert orch("status", "--all").out.count("job") == 0


def test_a_repository_names_them_and_a_run_again_reads_them_anew(orch: Orch) -> None:
    (orch.home / "orch.toml").write_text(
        '[job.one]\ncommand = "printf %s \\"$A\\" > seen"\nsecrets = ["A"]\n'
        '[job.two]\ncommand = "printf %s \\"$B\\" > seen"\nsecrets = { B = "A" }\n'
    )
    keep(orch)
    for name in ("one", "two"):
        done(orch("run", name, "--wait"))
        assert (orch.home / "seen").read_text() == VALUE
    keep(orch, "A", OTHER)
    done(orch("rerun", "one", "--wait"))
    assert (orch.home / "seen").read_text() == OTHER
    orch("secret", "rm", "A")
    assert "orch secret set A" in orch("rerun", "one").err


# Canaries


def secrets_of(text: str) -> list[bytes]:
    return [text.encode(), text.encode().hex().encode(), base64.b64encode(text.encode())[:-4]]


def found_in(files: Iterator[Path], canaries: list[bytes]) -> list[str]:
    """The files that hold one."""
    hits = []
    for path in files:
        try:
            data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        except OSError:
            continue
        hits += [str(path) for canary in canaries if canary in data]
    return sorted(set(hits))


def in_processes(canaries: list[bytes], but: Callable[[bytes], bool]) -> list[str]:
    """Arguments of all processes, and environments but those of jobs."""
    hits = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            argv = Path(f"/proc/{pid}/cmdline").read_bytes()
            environ = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        texts = [argv] if but(environ) else [argv, environ]
        hits += [f"{pid}: {argv!r}" for text in texts for canary in canaries if canary in text]
    return hits


def is_of_a_job(environ: bytes) -> bool:
    return b"ORCH_JOB_ID=" in environ


@pytest.mark.parametrize("where", ["local", "ssh"])
def test_canaries_are_found_nowhere(
    where: str, orch: Orch, machines: Callable[..., Machine], laptop: Callable[..., Laptop], terminal: Terminal
) -> None:
    """Every way by which a value could get out, and every place in which it could be left, while it runs and after."""
    homes, memory = [orch.home], [Path("/dev/shm")]
    if where == "ssh":
        machine = machines()
        orch = laptop(machine)
        homes, memory = [orch.home, machine.home], [machine.seen(place) for place in ("/dev/shm", "/run", "/tmp")]
    plain, other = (f"canary{os.urandom(6).hex()}{end}" for end in ("", "/+?&=5"))
    canaries = secrets_of(plain) + secrets_of(other)

    def in_memory() -> Iterator[Path]:
        found = os.stat(homes[-1] / ".orch")
        return memory[0].glob(f"orch-*-{found.st_dev:x}-{found.st_ino:x}/*")

    def look(waiting: int) -> None:
        """Nothing anywhere, but in the keychain and in the files that must be there."""
        kept = list(in_memory())
        assert len(kept) == waiting, kept
        files = (path for home in homes for path in home.rglob("*") if path.name != "keyring_pass.cfg")
        assert found_in(files, canaries) == []
        elsewhere = (Path(top, name) for place in memory for top, _, names in os.walk(place) for name in names)
        assert found_in((path for path in elsewhere if path not in kept), canaries) == []
        assert in_processes(canaries, is_of_a_job) == []

    shown: list[str] = []

    def run(*words: str, status: int | None = 0, **more: object) -> Done:
        told = orch(*words, **more)
        assert status is None or told.status == status, (words, told.err)
        shown.append(told.out + told.err)
        return told

    for name, value in (("A", plain), ("KEPT", other)):
        run("secret", "set", name, input=f"{value}\n".encode())
    options = ("--secret", "A", "--secret", "B=KEPT")
    show = 'echo "$A|$B"; printf "%s" "$A$B" | base64; echo "$B" >&2; '
    gate = "until [ -e go ]; do sleep 0.1; done; "
    run("run", "first", gate)
    run("run", "job", *options, "--after", "first", "--retries", "1", "--retry-delay", "0", show + gate + "exit 3")
    look(1)
    run("run", "plain", *options, "--no-tty", show + "env | grep canary; " + gate + "false")
    run("run", "asks", *options, 'printf "token $A? "; read answer; echo "got $answer"')
    eventually(lambda: "plain" in orch("logs", "plain").out or "***" in orch("logs", "plain").out, "it writes")
    eventually(lambda: "***" in orch("logs", "asks").out, "it asks")
    if where == "local":
        terminal.start([str(word) for word in orch.argv("attach", "asks")], orch.env)
        assert "canary" not in terminal.shows("token ***?")
    eventually(lambda: orch("show", "asks", "--json").json["job"]["prompt"], "it waits for input")
    for words in (("status", "--json"), ("status",), ("show", "asks"), ("show", "plain", "--json")):
        run(*words)
    look(3)
    run("send", "asks", "nothing")
    (homes[-1] / "go").touch()
    run("wait", "first", "asks", status=None)
    run("wait", "job", status=3)
    run("wait", "plain", status=1)
    assert orch("show", "job", "--json").json["job"]["attempt"] == 2
    look(0)
    run("rerun", "job", "--env", "AGAIN=1", "--id", "again", status=0)
    run("rerun", "job", "--env", "AGAIN=1", "--id", "again", status=None)
    run("wait", "job", status=3)
    for words in (
        *(("show", name) for name in ("job", "plain", "asks")),
        *(("show", name, "--json") for name in ("job", "plain", "asks")),
        *(("logs", name, "--raw") for name in ("job", "plain", "asks")),
        ("status", "--all", "--json"),
        ("secret", "list", "--json"),
        ("doctor",),
    ):
        run(*words, status=None)
    run("pull", "job", "--log", status=None)
    run("run", "job", *options, f"echo {plain}", status=2)
    run("run", "job", *options, "--env", f"X={other}", "true", status=2)
    bug = "import orch.ops.secrets as s; s.check_values = None; "
    argv = [bug + word if "import" in str(word) else word for word in orch.argv("run", "bug", *options, "true")]
    env = {**os.environ, **orch.env}
    broken = subprocess.run(argv, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, check=False)
    shown.append(broken.stdout + broken.stderr)
    assert broken.returncode == 3 and "report" in broken.stderr
    look(0)
    leaked = [text for text in shown for canary in (plain, other) if canary in text]
    assert leaked == []
    assert re.search(r"\*\*\*\|\*\*\*", "".join(shown)), "jobs did write them"
