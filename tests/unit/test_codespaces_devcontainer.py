from __future__ import annotations

import pytest

from orch.providers.codespaces import devcontainer, jsonc
from orch.providers.codespaces.space import Machine

GIB = 1 << 30
FULL = devcontainer.merge("").text


def test_a_new_file() -> None:
    said = jsonc.parse(FULL).value
    assert said == {
        "image": "mcr.microsoft.com/devcontainers/universal:linux",
        "hostRequirements": {"cpus": 4, "memory": "16gb", "storage": "64gb"},
        "features": {"ghcr.io/devcontainers/features/sshd:1": {}},
        "onCreateCommand": devcontainer._TMUX_COMMAND,
        "postStartCommand": "test ! -x /workspaces/.orch/wake || /workspaces/.orch/wake",
    }
    notes = " ".join(jsonc.comments(FULL))
    assert "idle" in notes.lower() and "retention" in notes
    assert FULL.endswith("}\n") and '\n  "image": "mcr' in FULL


def test_a_file_that_has_all_stays() -> None:
    assert devcontainer.merge(FULL) == (FULL, [])


def test_what_is_there_stays_to_the_byte() -> None:
    before = """\
// ours
{
\t"name": "web",   /* do not rename */
\t"build": { "dockerfile": "Dockerfile" },
\t"features": {
\t\t"ghcr.io/devcontainers/features/go:1": {}, // 1.26
\t},
\t"hostRequirements": { "cpus": 2 },
\t// what runs at each start
\t"postStartCommand": ["make", "up"],
}
"""
    after, told = devcontainer.merge(before)
    lines = iter(after.splitlines())
    kept = [line for line in before.splitlines() if "postStart" not in line and "hostReq" not in line]
    assert all(line in lines for line in kept)
    said = jsonc.parse(after).value
    assert "image" not in said and said["hostRequirements"] == {"cpus": 2, "memory": "16gb", "storage": "64gb"}
    assert said["postStartCommand"] == {"project": ["make", "up"], "orch": devcontainer._WAKE_COMMAND}
    assert told == ["hostRequirements.cpus stays 2; jobs are promised 4"]
    assert '\n\t\t"ghcr.io/devcontainers/features/sshd:1": {},\n\t},' in after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"npm start"', {"project": "npm start", "orch": devcontainer._WAKE_COMMAND}),
        ('["npm", "start"]', {"project": ["npm", "start"], "orch": devcontainer._WAKE_COMMAND}),
        ('{"web": "npm start"}', {"web": "npm start", "orch": devcontainer._WAKE_COMMAND}),
        ('{"orch": "mine"}', {"orch": "mine", "orch-wake": devcontainer._WAKE_COMMAND}),
        ('""', devcontainer._WAKE_COMMAND),
        ("null", devcontainer._WAKE_COMMAND),
        ('"/workspaces/.orch/wake; npm start"', "/workspaces/.orch/wake; npm start"),
    ],
)
def test_every_form_of_a_command(before: str, after: object) -> None:
    merged = devcontainer.merge(f'{{"postStartCommand": {before}}}').text
    assert jsonc.parse(merged).value["postStartCommand"] == after


def test_what_installs_tmux_runs_beside_no_other_installation() -> None:
    """Two of apt's at once: one of them fails. Commands of one kind run at once, those of two after one another."""
    merged = devcontainer.merge('{"onCreateCommand": {"a": "apt-get install x"}, "updateContentCommand": "y"}')
    said = jsonc.parse(merged.text).value
    assert said["postCreateCommand"] == devcontainer._TMUX_COMMAND and said["updateContentCommand"] == "y"
    every = '{"onCreateCommand": "a", "updateContentCommand": "b", "postCreateCommand": "c"}'
    merged = devcontainer.merge(every)
    assert "tmux" not in merged.text and "tmux" in merged.told[0]


@pytest.mark.parametrize("there", ['{"x/apt:1": {"packages": "tmux"}}', '{"x/tmux:latest": {}}'])
def test_tmux_may_come_in_another_way(there: str) -> None:
    assert "sudo" not in devcontainer.merge(f'{{"features": {there}}}').text


@pytest.mark.parametrize("sshd", ["ghcr.io/devcontainers/features/sshd:1.0.9", "sshd", "x/sshd@sha256:0a"])
def test_any_sshd_will_do(sshd: str) -> None:
    merged = devcontainer.merge(f'{{"features": {{"{sshd}": {{}}}}}}').text
    assert list(jsonc.parse(merged).value["features"]) == [sshd]


@pytest.mark.parametrize(
    ("requirements", "told"),
    [
        ('{"cpus": 8, "memory": "32gb", "storage": "128gb"}', []),
        ('{"cpus": 4, "memory": "8GB", "storage": "1tb"}', ["memory"]),
        ('{"cpus": 1, "memory": "16384mb", "storage": "32gb"}', ["cpus", "storage"]),
        ('{"cpus": "some"}', []),
    ],
)
def test_what_asks_for_less_is_told_and_stays(requirements: str, told: list[str]) -> None:
    merged = devcontainer.merge(f'{{"hostRequirements": {requirements}}}')
    assert [line.split()[0].removeprefix("hostRequirements.") for line in merged.told] == told
    assert merged.text.startswith('{\n  "hostRequirements": ' + requirements[:-1])


@pytest.mark.parametrize("text", ["[]", "7", '"x"', "{", '{"a" 1}', '{"a": NaN}', "{} x", '{"a": "\\q"}', "{'a': 1}"])
def test_what_is_no_object_of_json_is_refused(text: str) -> None:
    with pytest.raises(jsonc.Broken, match="line 1"):
        devcontainer.merge(text)


def test_it_is_said_where_it_is_broken() -> None:
    with pytest.raises(jsonc.Broken, match="line 3, column 3: a comma or } is wanted, and there is '\"b\": 2'"):
        jsonc.parse('{\n  "a": 1 // no comma\n  "b": 2\n}')
    with pytest.raises(jsonc.Broken, match="nested too deeply"):
        jsonc.parse("[" * 99999)


def test_its_indentation_and_ends_of_lines_are_kept() -> None:
    merged = devcontainer.merge('{\r\n    "image": "x"\r\n}').text
    assert "\n" not in merged.replace("\r\n", "") and '\r\n        "cpus": 4,\r\n' in merged
    assert devcontainer.merge('\ufeff{"image": "x"}').text.startswith('\ufeff{\n  "image": "x",\n')


SMALL = Machine("basic", 2, 8 * GIB, 32 * GIB, "")
STANDARD = Machine("standard", 4, 16 * GIB, 32 * GIB, "")
PREMIUM = Machine("premium", 8, 32 * GIB, 64 * GIB, "")


def test_more_disk_may_take_a_larger_machine() -> None:
    assert "4-core/16GB has 32gb here; for more that takes 8-core/32GB" in devcontainer.larger(
        FULL, [SMALL, STANDARD, PREMIUM]
    )
    assert "no machine has that" in devcontainer.larger(FULL, [SMALL, STANDARD])
    roomy = STANDARD._replace(storage=64 * GIB)
    assert devcontainer.larger(FULL, [SMALL, STANDARD, roomy, PREMIUM]) == ""
    assert devcontainer.larger(FULL, [SMALL]) == devcontainer.larger(FULL, []) == ""
    assert devcontainer.larger(FULL.replace('"64gb"', '"32gb"'), [SMALL, STANDARD, PREMIUM]) == ""
