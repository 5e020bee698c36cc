# Everything is made inside this clone: .tools holds uv, .venv the Python packages. `demo` and `test` are
# the README's two commands; `test` is what CI runs.
.PHONY: demo test setup lint fmt lock bench clean
.NOTPARALLEL:

demo:    # set up what the main job needs, then run its three jobs side by side
	tools/system-packages venv tmux
	tools/setup examples
	examples/three-jobs/run

test: setup lint    # everything CI checks
	python39=$$(tools/python39) && ORCH_TEST_PYTHON39=$$python39 .venv/bin/pytest -n 4    # they mostly wait

setup:    # all that the tests need: system packages, Python packages, a Python 3.9, an old gh
	tools/system-packages venv tmux zsh fish node gcc faketime ps setpriv unshare nsenter ip ssh sshd less sudo rsync systemd-tmpfiles
	tools/setup dev examples
	tools/python39
	tools/gh-oldest

lint:    # format, rules, types (the agent's for Python 3.9), who imports whom
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/mypy --python-version 3.9 src/orch_agent src/orch/providers/ec2/idle.py
	.venv/bin/lint-imports

fmt:    # format, and mend what can be mended
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

lock:    # renew requirements/*.lock from pyproject.toml (UPGRADE=--upgrade for newer versions)
	tools/lock $(UPGRADE)

bench:    # the measurements of docs/performance.md
	.venv/bin/python bench

clean:
	rm -rf .tools .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist examples/three-jobs/results
