"""``orch ports``: what a job listens on, and ports here that lead to it."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.agent import Agent, eventually
from tests.support.cli import Orch, Started
from tests.support.laptop import Laptop
from tests.support.link import Link
from tests.support.machine import Machine

Machines = Callable[..., Machine]
Laptops = Callable[..., Laptop]
SERVER = """
import socket, sys, threading
def serve(one):
    said = b""
    while True:
        data = one.recv(1 << 16)
        said += data
        if not data or said == b"at once": break
    if said == b"die": import os; os._exit(3)
    one.sendall(said)
    one.close()
family, address = (socket.AF_INET6, "::1") if sys.argv[1:] else (socket.AF_INET, "127.0.0.1")
listening = socket.socket(family)
listening.bind((address, 0))
listening.listen(128)
while True:
    threading.Thread(target=serve, args=(listening.accept()[0],)).start()
"""
"""Says back what it has heard, once the other has ended, or says so."""


def serve(orch: Orch, home: Path, *words: str, name: str = "web") -> int:
    """A job that listens, and on which port."""
    (home / "server.py").write_text(SERVER)
    done = orch("run", name, f"cd; exec python3 -S server.py {' '.join(words)}")
    assert done.status == 0, done.err
    return eventually(lambda: _port(orch, name), "it listens")


def _port(orch: Orch, name: str) -> int | None:
    ports = orch("ports", name, "--json").json["ports"]
    return ports[0]["port"] if ports else None


@contextmanager
def forwarded(orch: Orch, *words: str) -> Iterator[tuple[Started, int]]:
    """A command that forwards, and the port here."""
    with orch.popen("ports", *words) as started:
        assert started.stdout is not None
        line = started.stdout.readline().decode()
        if not line:
            raise AssertionError(started.communicate()[1].decode())
        yield started, int(line.split()[0].rpartition(":")[2])


def said(port: int, data: bytes = b"hello", at_once: bool = False) -> bytes:
    """What the far side says back."""
    with socket.create_connection(("127.0.0.1", port), 60) as one:
        one.settimeout(60)
        sending = threading.Thread(target=one.sendall, args=(data,))
        sending.start()
        sending.join()
        if not at_once:
            one.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: one.recv(1 << 16), b""))


def settled(machine: Machine, started: Started, sessions: int) -> int:
    """How many descriptors it has once it waits for the job's end."""
    eventually(lambda: len(machine.sessions()) >= sessions + 2, "it waits for the job")
    return descriptors(started)


def descriptors(started: Started) -> int:
    return len(os.listdir(f"/proc/{started.pid}/fd"))


def test_over_ssh(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    there = serve(mine, machine.home)
    done = mine("ports", "web")
    head, row = done.out.splitlines()
    assert head == "PORT   ADDRESS    PROCESS" and row.startswith(f"{there:<5}  127.0.0.1  python3")
    assert f"orch ports web {there}" in done.err
    sessions = len(machine.sessions())
    with forwarded(mine, "web", f":{there}") as (started, here):
        assert said(here) == b"hello"
        assert said(here, b"at once", at_once=True) == b"at once"
        data = os.urandom(20 << 20)
        assert hashlib.sha256(said(here, data)).digest() == hashlib.sha256(data).digest()
        before = settled(machine, started, sessions)
        for _ in range(200):
            assert said(here, b"again") == b"again"
        together = [threading.Thread(target=said, args=(here, data[: 1 << 20])) for _ in range(20)]
        for one in together:
            one.start()
        for one in together:
            one.join()
        eventually(lambda: descriptors(started) <= before, "no descriptor is left")
        assert machine.connections() == 1
        assert mine("cancel", "web").status == 0
        _, err = started.communicate(timeout=60)
        assert started.returncode == 0 and "web.1 CANCELLED" in err.decode()
        assert "nothing is forwarded any more" in err.decode()


def test_on_this_machine(orch: Orch, agent: Agent) -> None:
    there = serve(orch, orch.home)
    with forwarded(orch, "web", f":{there}") as (started, here):
        assert said(here, data := os.urandom(5 << 20)) == data
        assert said(here, b"at once", at_once=True) == b"at once"
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
        assert started.returncode == 130 and b"nothing is forwarded any more; web.1 runs on" in err
    done = orch("ports", "web", str(there))
    assert done.status == 1 and f"its port {there} is 127.0.0.1:{there} already" in done.err
    assert orch("cancel", "web").status == 0
    done = orch("ports", "web", str(there))
    assert (done.status, done.err) == (
        1,
        "orch: web.1 has ended (CANCELLED): nothing of it listens\n  orch show web.1\n",
    )
    assert orch("ports", "web", "--json").json["ports"] == []


def test_one_that_is_taken_here(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    assert mine("run", "job", "sleep 1000").status == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = mine("ports", "job", f"{port}:80")
    line, hint = done.err.splitlines()
    assert (done.status, line) == (1, f"orch: port {port} of this machine is taken")
    assert re.fullmatch(r"  orch ports job \d+:80", hint) and str(port) not in hint


def test_nobody_listens(machine: Machine, laptop: Laptops) -> None:
    """It is told once, and as a reset; later, when somebody does, it works. An address of IPv6 will do."""
    mine = laptop(machine)
    there = serve(mine, machine.home, "v6")
    assert mine("cancel", "web").status == 0
    (machine.home / "server.py").write_text(SERVER.replace("(address, 0)", f"(address, {there})"))
    assert mine("run", "again", "until [ -e go ]; do sleep 0.05; done; exec python3 -S server.py v6").status == 0
    with forwarded(mine, "again", f":{there}") as (started, here):
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", here), 60) as one, pytest.raises(ConnectionResetError):
                one.recv(1)
        machine.write("go", "")
        eventually(lambda: _port(mine, "again"), "it listens")
        assert said(here) == b"hello"
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
    assert err.decode().count(f"no connection to port {there} of box: nobody listens there") == 1
    assert f"nothing of again.1 listens on port {there} yet" in err.decode()


def test_a_slow_reader_and_one_that_goes(machine: Machine, laptop: Laptops) -> None:
    mine = laptop(machine)
    there = serve(mine, machine.home)
    data, sessions = os.urandom(30 << 20), len(machine.sessions())
    with forwarded(mine, "web", f":{there}") as (started, here):
        before = settled(machine, started, sessions)
        with (
            socket.create_connection(("127.0.0.1", here)) as slow,
            socket.create_connection(("127.0.0.1", here)) as gone,
        ):
            for one in (slow, gone):
                one.sendall(data)
                one.shutdown(socket.SHUT_WR)
            assert gone.recv(10)
            gone.close()
            assert slow.recv(10, socket.MSG_PEEK)
            assert said(here) == b"hello", "nobody else waits"
            slow.settimeout(60)
            assert b"".join(iter(lambda: slow.recv(1 << 16), b"")) == data
        eventually(lambda: descriptors(started) <= before, "no descriptor is left")


CLIENT = """
import socket, sys
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
one.sendall(b"hello")
if sys.argv[2:]:
    print("on", flush=True)
else:
    one.shutdown(socket.SHUT_WR)
try:
    print(one.recv(100).decode() or "ended", flush=True)
except OSError as error:
    print(type(error).__name__, flush=True)
"""


def test_a_cut_link(links: Callable[..., Link], machines: Machines, laptop: Laptops) -> None:
    """Connections break, and are no empty answers; new ones work when the link is back. It is said once."""
    link = links(0.01)
    machine = machines(link=link)
    mine = laptop(machine)
    there = serve(mine, machine.home)
    with forwarded(mine, "web", f":{there}") as (started, here):
        words = [*link.here([]), sys.executable, "-c", CLIENT, str(here)]

        def ask() -> str:
            return subprocess.run(words, capture_output=True, timeout=60).stdout.decode().strip()

        assert ask() == "hello"
        with subprocess.Popen([*words, "stay"], stdout=subprocess.PIPE) as staying:
            assert staying.stdout and staying.stdout.readline() == b"on\n"
            link.cut()
            machine.restart_sshd()  # it forgets the connection, which here is only noticed to be dead
            assert staying.stdout.readline() == b"ConnectionResetError\n"
        link.mend()
        eventually(lambda: ask() == "hello", "the link is back", 60)
        eventually(lambda: mine("ports", "web").status == 0, "it is back for all", 60)
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
        assert err.decode().count("box is back") <= 1 and err.decode().count("lost") <= 1


@pytest.mark.parametrize("words", [["80x"], ["0"], ["65536"], ["80:"], ["80:0"], ["-1"], ["80:90:100"], ["²"]])
def test_what_is_no_port(orch: Orch, words: list[str]) -> None:
    done = orch("ports", "web", *words)
    assert done.status == 2 and "port" in done.err


def test_bad_words(orch: Orch, agent: Agent) -> None:
    assert orch("ports", "web", "80", "--json").status == 2
    assert orch("ports", "nope").status == 1
    assert orch("port-forward", "web").err == "orch: there is no command 'port-forward'\n  did you mean orch ports?\n"
    orch("run", "job", "true", "--wait")
    done = orch("ports", "job")
    assert (done.status, done.out, done.err) == (0, "", "orch: job.1 is COMPLETED and listens on nothing\n")
