from __future__ import annotations

import pytest

from orch.providers.codespaces.choice import NotOffered, chosen, too_small
from orch.providers.codespaces.space import Machine, read
from orch.units import size

GIB = 1 << 30
BASIC, STANDARD, PREMIUM, LARGE = OFFERED = [
    Machine("basicLinux32gb", 2, 8 * GIB, 32 * GIB, ""),
    Machine("standardLinux32gb", 4, 16 * GIB, 32 * GIB, ""),
    Machine("premiumLinux", 8, 32 * GIB, 64 * GIB, ""),
    Machine("largePremiumLinux", 16, 64 * GIB, 128 * GIB, ""),
]


@pytest.mark.parametrize(
    ("wanted", "machine"),
    [
        (None, STANDARD),
        ("standard", STANDARD),
        ("heavy", PREMIUM),
        ("xheavy", LARGE),
        ("basicLinux32gb", BASIC),
        ("largePremiumLinux", LARGE),
    ],
)
def test_by_name(wanted: str | None, machine: Machine) -> None:
    assert chosen(OFFERED, wanted) == machine


@pytest.mark.parametrize(
    ("gib", "machine"),
    [(0.5, STANDARD), (8, STANDARD), (14.5, STANDARD), (14.6, PREMIUM), (30.5, PREMIUM), (31, LARGE), (62.5, LARGE)],
)
def test_by_memory(gib: float, machine: Machine) -> None:
    """1.5 GB of each are not for jobs."""
    assert chosen(OFFERED, None, int(gib * GIB)) == machine
    assert chosen(list(reversed(OFFERED)), None, int(gib * GIB)) == machine


def test_of_two_with_as_many_cores_the_smallest_disk_that_will_do() -> None:
    roomy = STANDARD._replace(name="standardLinux64gb", storage=64 * GIB)
    assert chosen([roomy, *OFFERED], "standard") == roomy  # 64 GB are what a codespace is to have
    assert chosen([roomy, *OFFERED], "standardLinux64gb") == roomy


@pytest.mark.parametrize(
    ("offered", "wanted", "mem", "says", "hint"),
    [
        (OFFERED[:3], "xheavy", None, "16 cores, and GitHub does not offer one here", "--machine premiumLinux"),
        (OFFERED[2:], "standard", None, "4 cores, and GitHub does not offer one here", "--machine premiumLinux"),
        (OFFERED[2:], "standard", 31, "4 cores, and GitHub does not offer one here", "--machine largePremiumLinux"),
        (OFFERED, "huge", None, "'huge' is a type of machine that GitHub does not", "--machine standardLinux32gb"),
        (OFFERED, "premiumLinus", None, "'premiumLinus' is a type of machine that", "--machine premiumLinux"),
        (OFFERED[:3], "xheavi", None, "'xheavi' is a type of machine that GitHub does not offer", "--machine heavy"),
        (OFFERED, None, 63, "4 cores and room for 63G", "--machine largePremiumLinux --mem 62.5G"),
        (OFFERED, "standard", 900, "no room for 900G", "--machine largePremiumLinux --mem 62.5G"),
        (OFFERED, "standard", 15, "standardLinux32gb .* has no room for 15G", "--machine premiumLinux"),
        ([BASIC], None, None, "no machine that GitHub offers here has 4 cores or more", "--machine basicLinux32gb"),
        ([], None, None, "it offers none at all", "gh codespace create    # says why"),
    ],
)
def test_what_is_not_offered(offered: list[Machine], wanted: str | None, mem: int | None, says: str, hint: str) -> None:
    """The hint is the nearest that is offered, not the dearest."""
    with pytest.raises(NotOffered, match=says) as refused:
        chosen(offered, wanted, mem and mem * GIB)
    assert all(f"{one.name} ({one.short})" in refused.value.message for one in offered)
    assert refused.value.kind == "refused" and refused.value.hint == hint
    instead = refused.value.instead
    if instead:
        assert chosen(
            offered, instead["--machine"], size(instead["--mem"]) if "--mem" in instead else mem and mem * GIB
        )


def test_whether_a_codespace_is_too_small() -> None:
    here = read({"name": "x"})._replace(machine=STANDARD)
    assert not too_small(here, None) and not too_small(here, int(14.5 * GIB)) and too_small(here, 15 * GIB)
    assert not too_small(here._replace(machine=None), 99 * GIB), "nobody knows"
