"""What is said about KillUserProcesses in files; the bus is asked on machines that have one."""

from __future__ import annotations

from pathlib import Path

import pytest

from orch_agent import logind


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], None),
        ([None], None),
        (["[Login]\n#NAutoVTs=6\n"], None),
        (["[Login]\n#KillUserProcesses=no\n"], False),
        (["[Login]\n#KillUserProcesses=yes\n"], True),
        (["[Login]\n#KillUserProcesses=no\n", "[Login]\nKillUserProcesses=yes\n"], True),
        (["[Login]\nKillUserProcesses=yes\n", "[Login]\n#KillUserProcesses=no\n"], True),
        (["[Login]\nKillUserProcesses=yes\n", "[Login]\nKillUserProcesses = 0\n"], False),
        (["KillUserProcesses=maybe\n", "KillUserProcesses=On\n"], True),
        (["KillOnlyUsers=me\nKillExcludeUsers=root\n"], None),
    ],
)
def test_the_last_word_counts_and_comments_tell_the_default(texts: list[str | None], said: bool | None) -> None:
    assert logind.configured(texts) is said


def test_a_drop_in_in_etc_hides_its_namesake(tmp_path: Path) -> None:
    def write(path: str, value: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"[Login]\nKillUserProcesses={value}\n")

    places = [str(tmp_path / "etc"), str(tmp_path / "usr")]
    write("usr/logind.conf", "yes")
    write("etc/logind.conf", "no")
    write("usr/logind.conf.d/50-kill.conf", "yes")
    write("etc/logind.conf.d/50-kill.conf", "no")
    write("usr/logind.conf.d/10-first.conf", "yes")
    write("usr/logind.conf.d/90-not-read.txt", "yes")
    read = [str(Path(path).relative_to(tmp_path)) for path in logind._files(places)]
    assert read == ["etc/logind.conf", "usr/logind.conf.d/10-first.conf", "etc/logind.conf.d/50-kill.conf"]
