"""Puts the results of a long campaign into docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: written by `python -m bench.campaign --write` -->", "<!-- end of figures -->"
Result = Mapping[str, Any]


def write(results: Sequence[Result], command: str) -> None:
    """Renew the page's figures."""
    head, rest = PAGE.read_text().split(BEGIN)
    tail = rest.split(END)[1]
    PAGE.write_text(f"{head}{BEGIN}\n\n{figures(results, command)}\n\n{END}{tail}")


def figures(results: Sequence[Result], command: str) -> str:
    """What came of all rounds, as text for the page."""
    commits = ", ".join(dict.fromkeys(result["commit"] for result in results))
    parts = [
        f"    {command}",
        f"At {commits}, in {sum(result['seconds'] for result in results) / 60:.0f} minutes.",
        _table(["", *_hosts(results), "together"], _sums(results)),
        _table(["a fault", *_hosts(results), "together"], _counted(results, "faults")),
        _table(["an end", *_hosts(results), "together"], _counted(results, "states")),
        _rounds(results),
    ]
    broken = [said for result in results for said in result["accusations"]]
    parts.append(
        "Every promise held." if not broken else "Broken promises:\n\n" + "\n".join(f"- {said}" for said in broken)
    )
    return "\n\n".join(parts)


def _hosts(results: Iterable[Result]) -> list[str]:
    return list(dict.fromkeys(result["host"] for result in results))


def _sums(results: Sequence[Result]) -> list[list[str]]:
    rows = {
        "rounds": lambda result: 1,
        "submissions": lambda result: result["submissions"],
        "jobs that came of them (arrays have several)": lambda result: result["jobs"],
        "attempts that began": lambda result: result["attempts"],
        "faults": lambda result: sum(result["faults"].values()),
        "followers of logs": lambda result: result["followers"],
        "bytes of logs, each compared": lambda result: result["bytes"],
        "answers of status, each compared": lambda result: result["answers"],
        "broken promises": lambda result: len(result["accusations"]),
    }
    return [_row(name, results, count) for name, count in rows.items()]


def _counted(results: Sequence[Result], key: str) -> list[list[str]]:
    total = sum((Counter(result[key]) for result in results), Counter[str]())
    return [_row(name, results, lambda result, name=name: result[key].get(name, 0)) for name, _ in total.most_common()]


def _row(name: str, results: Sequence[Result], count: Any) -> list[str]:
    by_host = [sum(count(result) for result in results if result["host"] == host) for host in _hosts(results)]
    return [name, *(f"{number:,}" for number in (*by_host, sum(by_host)))]


def _rounds(results: Sequence[Result]) -> str:
    seeds = {host: [str(one["seed"]) for one in results if one["host"] == host] for host in _hosts(results)}
    return "Seeds: " + "; ".join(f"{host} {', '.join(numbers)}" for host, numbers in seeds.items()) + "."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
