"""User data, run for real by root on a machine that is like an Amazon Linux 2023: what it leaves, and what it tells."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Iterator

import pytest

from orch.providers.ec2.shape import Shape
from orch.providers.ec2.template import bootstrap
from tests.support.al2023 import CLOUDWATCH, INSTANCE, SIGNAL, AmazonLinux

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is a machine of Linux namespaces")
REGION = "ap-northeast-1"
USER_DATA = bootstrap(Shape("box", idle_stop=600), REGION)
TRIES = 6


@pytest.fixture
def machine() -> Iterator[AmazonLinux]:
    one = AmazonLinux()
    try:
        one.boot()
        yield one
    finally:
        one.close()


def signals(machine: AmazonLinux) -> list[str]:
    """The statuses that CloudFormation was told of."""
    tail = ["--stack", "orch-box", "--resource", "Instance", "--region", REGION]
    calls = machine.calls(SIGNAL)
    assert all(words[:2] == [SIGNAL, "-e"] and words[3:] == tail for words in calls)
    return [words[2] for words in calls]


def owned(machine: AmazonLinux, *paths: str) -> list[str]:
    """Owner, mode and kind of files there."""
    return machine.run(f"stat -c '%U %G %a %F' {' '.join(paths)}", user="root").stdout.splitlines()


def test_what_it_leaves(machine: AmazonLinux) -> None:
    done = machine.cloud_init(USER_DATA)
    assert (done.returncode, done.stdout, done.stderr, signals(machine)) == (0, "", "", ["0"])
    home = "/home/ec2-user"
    places = (f"{home}/{name}" for name in ("logs", "work", "bin", ".orch"))
    assert owned(machine, *places) == ["ec2-user ec2-user 700 directory"] * 4
    assert owned(machine, f"{home}/.orch/ended.log") == ["ec2-user ec2-user 600 regular empty file"]
    assert owned(machine, "/usr/local/sbin/orch-idle") == ["root root 755 regular file"]
    assert owned(machine, "/etc/orch/host", "/etc/orch/idle_stop") == ["root root 644 regular file"] * 2
    assert machine.path("/etc/orch/idle_stop").read_text() == "600\n"
    host = ["name=box", f"region={REGION}", "log_group=/orch/box", f"instance_id={INSTANCE}"]
    assert machine.path("/etc/orch/host").read_text().splitlines() == host
    assert machine.path("/etc/tmpfiles.d/orch.conf").read_text() == f"e {home}/logs - - - mM:30d\n"
    assert machine.path("/etc/orch/ready").exists()
    logind = machine.run("cat /etc/systemd/logind.conf.d/orch.conf").stdout
    assert logind == "[Login]\nKillUserProcesses=no\n"
    assert machine.calls("loginctl") == [["loginctl", "enable-linger", "ec2-user"]]
    assert ["systemctl", "reload-or-restart", "systemd-logind"] in machine.calls("systemctl")
    assert set(machine.calls("dnf")[0]) >= {"install", "tmux", "git", "amazon-cloudwatch-agent"}


def test_the_cloudwatch_agent_is_told_whose_logs_go_where(machine: AmazonLinux) -> None:
    machine.cloud_init(USER_DATA)
    [call] = machine.calls(CLOUDWATCH)
    path = call[call.index("-c") + 1].partition("file:")[2]
    assert path == "/opt/aws/amazon-cloudwatch-agent/etc/orch.json"
    config = json.loads(machine.path(path).read_text())
    assert config["agent"] == {"run_as_user": "root"}  # homes are closed to others
    jobs, ended = config["logs"]["logs_collected"]["files"]["collect_list"]
    assert jobs == {
        "file_path": "/home/ec2-user/logs/*/[0-9]*.log",
        "publish_multi_logs": True,
        "log_group_name": "/orch/box",
        "log_stream_name": "{instance_id}",
    }
    assert ended["file_path"] == "/home/ec2-user/.orch/ended.log"
    assert (ended["log_group_name"], ended["log_stream_name"]) == ("/orch/box", "{instance_id}/ended")


def test_the_laptop_is_told_the_key_that_sshd_has(machine: AmazonLinux) -> None:
    machine.cloud_init(USER_DATA)
    [call] = machine.calls("aws")
    assert call[1:3] == ["ssm", "put-parameter"] and "--overwrite" in call
    given = dict(itertools.pairwise(call))
    assert (given["--name"], given["--region"]) == ("/orch/box/host-key", REGION)
    assert given["--value"] == " ".join(machine.known_hosts.read_text().split()[1:3])


def test_the_idle_timer_is_there_before_anything_can_fail(machine: AmazonLinux) -> None:
    machine.fails("dnf", TRIES)
    machine.cloud_init(USER_DATA)
    assert machine.calls()[:2] == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--now", "orch-idle.timer"],
    ]
    timer = machine.path("/etc/systemd/system/orch-idle.timer").read_text()
    service = machine.path("/etc/systemd/system/orch-idle.service").read_text()
    assert "OnCalendar=minutely" in timer and "WantedBy=timers.target" in timer
    assert re.search(r"^ExecStart=/usr/local/sbin/orch-idle$", service, re.M) and "TimeoutStartSec=" in service
    # It works by now. Not made ready, the machine is given more time than it was told.
    machine.run("echo 1 >/etc/orch/idle_stop", user="root")
    look_again = "touch /run/orch-looked; touch -d '1 min ago' /run/orch-used /var/log/wtmp; /usr/local/sbin/orch-idle"
    machine.run(look_again, user="root")
    assert not stops(machine)
    machine.run(f"touch -d @0 /etc/orch/ready; {look_again}", user="root")
    assert stops(machine) == [["systemctl", "poweroff"]]


def stops(machine: AmazonLinux) -> list[list[str]]:
    return [words for words in machine.calls("systemctl") if "poweroff" in words]


@pytest.mark.parametrize("program", ["systemctl", "loginctl", "dnf", CLOUDWATCH, "aws"])
def test_any_step_that_fails_is_told(machine: AmazonLinux, program: str) -> None:
    machine.fails(program, 100)
    done = machine.cloud_init(USER_DATA)
    assert done.returncode == 1
    assert re.search(r"^orch: the bootstrap failed at line \d+: .+ \(status 1\)$", done.stdout, re.M), done
    assert signals(machine) == ["1"]
    assert not machine.path("/etc/orch/ready").exists()


def test_a_step_that_no_program_takes_fails_too(machine: AmazonLinux) -> None:
    machine.run("rm /var/lib/cloud/data/instance-id", user="root")
    assert machine.cloud_init(USER_DATA).returncode == 1
    assert signals(machine) == ["1"]


@pytest.mark.parametrize("program", ["dnf", CLOUDWATCH, "aws", SIGNAL])
def test_what_only_needs_time_is_tried_again(machine: AmazonLinux, program: str) -> None:
    machine.fails(program, TRIES - 1)
    done = machine.cloud_init(USER_DATA)
    assert done.returncode == 0 and f"{program}" in done.stdout
    assert len(machine.calls(program)) == TRIES
    assert set(signals(machine)) == {"0"}
    pauses = [int(words[1]) for words in machine.calls("sleep")]
    assert len(pauses) == TRIES - 1 and sum(pauses) < 300


def test_a_key_that_sshd_has_yet_to_make_is_waited_for() -> None:
    made = "mv /etc/ssh/later.pub /etc/ssh/ssh_host_ed25519_key.pub\n"
    machine = AmazonLinux(programs={"sleep": made})
    try:
        machine.boot()
        machine.run("mv /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/later.pub", user="root")
        assert machine.cloud_init(USER_DATA).returncode == 0
        assert "ssh-ed25519 AAAA" in machine.calls("aws")[0][-1]
        assert len(machine.calls("sleep")) == 1
    finally:
        machine.close()


def test_twice_is_harmless_and_keeps_what_the_machine_was_told(machine: AmazonLinux) -> None:
    machine.cloud_init(USER_DATA)
    machine.run("echo 7200 >/etc/orch/idle_stop", user="root")
    ended = machine.home / ".orch/ended.log"
    ended.write_text("{}\n")
    (machine.home / "logs/kept").mkdir()
    done = machine.cloud_init(USER_DATA)
    assert (done.returncode, done.stdout, done.stderr, signals(machine)) == (0, "", "", ["0", "0"])
    assert machine.path("/etc/orch/idle_stop").read_text() == "7200\n"
    assert ended.read_text() == "{}\n" and (machine.home / "logs/kept").is_dir()
    assert len(machine.path("/etc/orch/host").read_text().splitlines()) == 4


def test_logs_that_nobody_has_touched_for_a_month_go(machine: AmazonLinux) -> None:
    machine.cloud_init(USER_DATA)
    machine.run("mkdir logs/train; cd logs/train; touch -d '31 days ago' 1.log; touch -d '29 days ago' 2.log")
    machine.run("systemd-tmpfiles --clean /etc/tmpfiles.d/orch.conf", user="root")
    assert os.listdir(machine.home / "logs/train") == ["2.log"]


def test_a_stop_and_a_start_keep_it(machine: AmazonLinux) -> None:
    machine.cloud_init(USER_DATA)
    machine.reboot()
    assert machine.run("/usr/local/sbin/orch-idle", user="root").returncode == 0
    assert not stops(machine)  # a boot is a sign of use
