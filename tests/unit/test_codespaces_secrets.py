from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from orch.errors import OrchError
from orch.providers.codespaces import origin, secrets
from tests.unit.fakegh import FakeGh

CS = [sys.executable, "-c", "from orch.cli.main import cs; cs()", "secret"]
VALUE = "k9-very-secret"


def clone_of(url: str) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "remote", "add", "origin", url], check=True)


def secret(*words: str, value: str = VALUE) -> tuple[int, str]:
    done = subprocess.run([*CS, *words], input=value, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_repository_s(gh: FakeGh) -> None:
    status, said = secret("set", "api_token", "-R", "octo/web", value=f"{VALUE}\nline\n\n")
    assert status == 0 and "API_TOKEN is set for octo/web" in said and "next start" in said
    assert gh.told == [
        (["secret", "set", "API_TOKEN", "--app", "codespaces", "-R", "octo/web"], f"{VALUE}\nline"),
    ]
    assert secret("rm", "api_token", "--repo=octo/web")[0] == 0
    assert gh.told[1][0] == ["secret", "delete", "API_TOKEN", "--app", "codespaces", "-R", "octo/web"]


def test_the_person_s(gh: FakeGh) -> None:
    status, said = secret("set", "TOKEN", "--user", "--repos", "octo/web, octo/api")
    assert status == 0 and "octo/web, octo/api see it" in said
    words = ["secret", "set", "TOKEN", "--app", "codespaces", "--user", "--repos", "octo/web,octo/api"]
    assert gh.told == [(words, VALUE)]
    assert secret("rm", "TOKEN")[0] == 0
    assert gh.told[1][0] == ["secret", "delete", "TOKEN", "--app", "codespaces", "--user"]


def test_who_sees_it_stays_as_it_was(gh: FakeGh) -> None:
    seers = [{"full_name": "octo/api"}, {"full_name": "octo/lib"}]
    gh.tells({"/user/codespaces/secrets/TOKEN/repositories": {"repositories": seers}})
    clone_of("git@github.com:octo/web.git")
    assert secret("set", "TOKEN")[0] == secret("set", "OTHER")[0] == 0
    assert [words[-1] for words, _ in gh.told] == ["octo/api,octo/lib", "octo/web"]


def test_somebody_has_to_see_it(gh: FakeGh) -> None:
    status, said = secret("set", "TOKEN")
    assert status == 1 and "cs secret set TOKEN --repos OWNER/REPO" in said and gh.told == []


@pytest.mark.parametrize(
    "words",
    [
        ("set", "TOKEN", VALUE),
        ("set", f"TOKEN={VALUE}"),
        ("set", VALUE),
        ("set", "TOKEN", "-b", VALUE),
        ("set", "TOKEN", f"--body={VALUE}"),
        ("set", "TOKEN", "--", VALUE),
        (VALUE, "TOKEN"),
        ("rm", VALUE),
        ("list", VALUE),
        ("set", "github_token"),
        ("set",),
    ],
)
def test_a_value_on_the_command_line_is_refused_and_not_repeated(gh: FakeGh, words: tuple[str, ...]) -> None:
    status, said = secret(*words)
    assert status == 2 and VALUE not in said and gh.told == []


@pytest.mark.parametrize("value", ["", "\n", "x" * (48 * 1024 + 1), "a\0b"])
def test_values_that_cannot_be_kept(gh: FakeGh, value: str) -> None:
    status, said = secret("set", "TOKEN", "-R", "octo/web", value=value)
    assert status == 1 and "value" in said and "xxx" not in said and gh.told == []


def test_one_as_long_as_may_be(gh: FakeGh) -> None:
    assert secret("set", "TOKEN", "-R", "octo/web", value="x" * secrets.MOST)[0] == 0
    assert len(gh.told[0][1]) == secrets.MOST


def test_on_a_terminal_it_is_not_seen(gh: FakeGh) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(CS[0], [*CS, "set", "TOKEN", "-R", "octo/web"])
    said = b""
    while b"not shown" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, f"{VALUE}\n".encode())
    try:
        while block := os.read(terminal, 4096):
            said += block
    except OSError:
        pass  # Linux says EIO at a terminal's end
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert VALUE.encode() not in said and gh.told[0][1] == VALUE


def test_the_list(gh: FakeGh) -> None:
    clone_of("https://github.com/octo/web")
    gh.tells(
        {
            "/user/codespaces/secrets": {"secrets": [{"name": "TOKEN", "updated_at": "2026-11-01T10:00:00Z"}]},
            "/user/codespaces/secrets/TOKEN/repositories": {"repositories": [{"full_name": "octo/api"}]},
            "/repos/octo/web/codespaces/secrets": {"secrets": [{"name": "KEY", "updated_at": "2026-11-02T10:00:00Z"}]},
        }
    )
    status, said = secret("list")
    assert status == 0
    assert [line.split()[:3] for line in said.splitlines()] == [
        ["NAME", "OF", "SEEN"],
        ["TOKEN", "you", "octo/api"],
        ["KEY", "octo/web", "octo/web"],
    ]
    found = json.loads(secret("list", "--json")[1])["secrets"]
    assert [one["kind"] for one in found] == ["user", "repository"]
    assert found[0]["repositories"] == ["octo/api"] and found[0]["updated_at"].startswith("2026-11-01T10:00:00")
    assert "KEY" not in secret("list", "--user")[1] and "TOKEN" not in secret("list", "-R", "octo/web")[1]


def test_a_repository_that_tells_one_nothing(gh: FakeGh) -> None:
    clone_of("https://github.com/octo/web")
    gh.tells({"/user/codespaces/secrets": {"secrets": []}})
    status, said = secret("list")
    assert status == 0 and "there are no secrets of octo/web" in said and "those who may write it" in said
    assert secret("list", "-R", "octo/web")[0] == 1


@pytest.mark.parametrize(
    ("url", "repository"),
    [
        ("git@github.com:octo/web.git", "octo/web"),
        ("https://github.com/octo/web", "octo/web"),
        ("https://me:pass@github.com/octo/web.js.git/", "octo/web.js"),
        ("ssh://git@github.com:22/octo/web.git", "octo/web"),
        ("ssh://git@ssh.github.com:443/octo/web.git", "octo/web"),
        ("https://GitHub.com/octo/.github", "octo/.github"),
        ("github-work:octo/web.git", "octo/web"),
        ("git@github.com-work:octo/web.git", "octo/web"),
        ("git@github.example.com:octo/web.git", None),
        ("https://github.com.example.org/octo/web", None),
        ("git@github.com-work.example.org:octo/web.git", None),
        ("git@github.com:../user", None),
        ("git@github.com:octo/..", None),
        ("https://github.com/octo/..git", None),
        ("git@gitlab.com:octo/web.git", None),
        ("/srv/octo/web.git", None),
        ("https://github.com/octo", None),
    ],
)
def test_whose_clone_it_is(url: str, repository: str | None) -> None:
    assert origin.named(url) == repository


def test_the_host_that_gh_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GH_HOST", "acme.ghe.com")
    for url in ("https://acme.ghe.com/octo/web", "acme@acme.ghe.com:octo/web.git"):
        assert origin.named(url) == "octo/web"
    assert origin.named("https://other.ghe.com/octo/web") is None


def test_of_several_remotes_the_one_it_came_from(home: Path) -> None:
    assert origin.of(str(home)) is None
    clone_of("https://github.com/octo/web")
    subprocess.run(["git", "remote", "add", "fork", "https://github.com/me/web"], check=True)
    assert origin.of(str(home)) == "octo/web"
    subprocess.run(["git", "remote", "set-url", "origin", "/srv/web"], check=True)
    assert origin.of(str(home)) == "me/web"
    for text in ("octo", "../user", "octo/.."):
        with pytest.raises(OrchError):
            origin.checked(text)
