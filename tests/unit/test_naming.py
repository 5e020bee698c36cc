"""What a job is called that nobody named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch.ops.naming import job_name
from orch_agent.model import check_name


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("cd /workspaces/web && python scripts/trend_scrape.py && python x.py", "web-trend_scrape"),
        ("cd /workspaces/web && python3 -c 'print(42)'", "web-python3"),
        ("python -u train.py --epochs 3", "web-train"),
        ("python3 -c 'print(6 * 7)'", "web-python3"),
        ("uv run python -m pkg.train -v", "web-pkg"),
        ("uv run python -m trainer.main", "web-trainer"),
        ("npm run build", "web-build"),
        ("npm run build:prod && npm test", "web-build-prod"),
        ("npm test", "web-test"),
        ("cd a && export B=1; source .venv/bin/activate && python c.py", "web-c"),
        ("bash -lc 'cd a && python b.py'", "web-b"),
        ("timeout 10 nice -n 5 ./run.sh", "web-run"),
        ("make test", "web-make"),
        ("A=1 ./run.sh", "web-run"),
        ("PASSWORD='hunter 2' python train.py", "web-train"),
        ("for i in 1 2; do echo $i; done", "web-job"),
        ("cd x; while true; do y; done", "web-job"),
        ("if x; then y; fi", "web-job"),
        ("(cd x && make)", "web-make"),
        ("cd x\npython y.py", "web-y"),
        ("cd /workspaces/web", "web-job"),
        ("'", "web-job"),
        ("$PROGRAM x", "web-x"),
        ("python " + "x" * 80, "web-" + "x" * 60),
    ],
)
def test_a_job_is_called_after_its_repository_and_its_program(command: str, name: str) -> None:
    assert job_name("octo/web", command) == name


@given(st.text(alphabet=st.sampled_from("ab-./ '\"\\$;&|()<>\n=#*é"), max_size=30) | st.text())
def test_any_command_has_a_name(command: str) -> None:
    assert check_name(job_name("octo/web", command)) and check_name(job_name("octo/.-", command))
