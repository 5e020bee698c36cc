"""In CI a skipped test is a failure: what was not run was not tested.

Not on macOS, where what only Linux has (/proc, cgroups, subreapers) leaves tests nothing to do. `xfail` is no skip.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

import pytest

STRICT = os.environ.get("CI") == "true" and sys.platform.startswith("linux")


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where every test must run: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one."""
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself into an error."""
    report = yield
    _refuse(report)
    return report
