"""Addresses of repositories, and the keys by which their forges are known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orch import forges
from orch.errors import OrchError
from orch.forges import repository

# As the forges publish them, at the pages that forges.PUBLISHED names.
FINGERPRINTS = {
    "github.com": {
        "ssh-ed25519": "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
        "ecdsa-sha2-nistp256": "SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM",
    },
    "gitlab.com": {
        "ssh-ed25519": "SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
        "ecdsa-sha2-nistp256": "SHA256:HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw",
    },
    "bitbucket.org": {
        "ssh-ed25519": "SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
        "ecdsa-sha2-nistp256": "SHA256:FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0",
    },
}


def by_ssh_keygen(key: str) -> str:
    said = subprocess.run(["ssh-keygen", "-lf", "-"], input=key, capture_output=True, text=True, check=True)
    return said.stdout.split()[1]


@pytest.mark.parametrize("host", forges.PUBLISHED)
def test_the_keys_in_the_source_are_those_that_are_published(host: str) -> None:
    found = {key.split()[0]: by_ssh_keygen(key) for key in forges.PUBLISHED[host]}
    assert found == FINGERPRINTS[host]
    assert {key.split()[0]: forges.fingerprint(key) for key in forges.PUBLISHED[host]} == found


@pytest.mark.parametrize(
    ("url", "host", "slug", "key", "directory"),
    [
        ("git@github.com:me/lros.git", "github.com", "me/lros", "github.com--me--lros", "lros"),
        ("ssh://git@github.com:22/Me/Lros/", "github.com", "Me/Lros", "github.com--me--lros", "Lros"),
        ("git@GitLab.com:a/b/c.d", "gitlab.com", "a/b/c.d", "gitlab.com--a--b--c.d", "c.d"),
        ("https://github.com/me/lros", "github.com", "me/lros", "", "lros"),
    ],
)
def test_addresses(url: str, host: str, slug: str, key: str, directory: str) -> None:
    found = repository(url)
    assert (found.host, found.slug, found.directory) == (host, slug, directory)
    assert not key or found.key == key


def test_no_two_repositories_share_a_key() -> None:
    urls = [
        *(
            "git@github.com:me/a--b",
            "git@github.com:me--a/b",
            "git@x.org:me/a/b",
            "git@x.org:me/a--b",
            "git@x.org:me--a/b",
        ),
        *("git@x.org:me/a-", "git@x.org:me/-a".replace("/-", "/_-"), "ssh://git@x.org:23/me/a/b", "joe@x.org:me/a/b"),
        *("git@x.org:~me/a", "git@x.org:_me/a", "git@x.org:+me/a", "git@x.org:me-a/b", "git@x.org:me/a-b"),
    ]
    keys = [repository(url).key for url in urls]
    assert len(set(keys)) == len(urls)
    assert all(
        set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-") for key in keys
    )  # what a parameter's name may have


@pytest.mark.parametrize(
    "url",
    [
        *("", "lros", "-oProxyCommand=touch x", "git@-oProxyCommand=x:a/b", "git@h:-a", "git@h:a/--upload-pack=x"),
        *("ext::sh -c touch% x", "git@h:a b", "git@h:a\nb", "git@h:a;b", "git@h:$(x)", "git@h:a/../b", "git@h:.git/x"),
        *(
            "ssh://git@h:0/a",
            "ssh://git@h:65536/a",
            "ssh://h/a",
            "ssh://-x@h/a",
            "file:///a",
            "git://h/a",
            "http://h/a",
        ),
        *("https://u:p@h/a", "https://h", "git@h:", "git@[::1]:a", "git@h%0a:a", "git@h:" + "a" * 300, "git@hö:a"),
    ],
)
def test_odd_addresses_are_refused(url: str) -> None:
    with pytest.raises(OrchError) as refused:
        repository(url)
    assert refused.value.kind == "usage" and "u:p" not in refused.value.message


def test_who_is_not_published_is_known_by_known_hosts(home: Path) -> None:
    wanted = repository("ssh://git@forge.example:2222/me/lros")
    with pytest.raises(OrchError, match="orch trusts none unseen"):
        forges.known_keys(wanted)
    key, _ = forges.PUBLISHED["gitlab.com"]
    file = home / ".ssh/known_hosts"
    file.parent.mkdir()
    file.write_text(f"forge.example {key}\n@revoked * {key}\n")
    with pytest.raises(OrchError, match=r"\[forge.example\]:2222"):
        forges.known_keys(wanted)
    file.write_text(f"[forge.example]:2222 {key}\n")
    subprocess.run(["ssh-keygen", "-Hf", file], check=True, capture_output=True)
    assert forges.known_keys(wanted) == ([key], False)
    assert forges.known_keys(repository("git@github.com:me/lros"))[1] is True
