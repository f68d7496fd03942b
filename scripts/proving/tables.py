"""What each part has shown, as rows: what, figure, what it must be, whether it is."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

FAULTS_MIN: Final = 50
PLANTED_MIN: Final = 15
JOBS_MIN: Final = 10_000
INJECTED_MIN: Final = 2_000
BEYOND_FORFEIT_SECONDS: Final = 2.0

console: Final = Console(highlight=False)
if not console.is_terminal:
    console.width = max(console.width, 128)


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    shown: str
    target: str = ""
    good: bool = True


def of_tests(answer: Path) -> list[Row]:
    """Of `proving.witness`."""
    if not answer.exists():
        return [Row("tests", "did not run to their end", "all pass", good=False)]
    seen = json.loads(answer.read_bytes())
    faults, planted = seen["fault"], seen["planted"]
    areas = Counter(name.partition(":")[0] for name in faults)
    rows = [
        Row(
            "tests of faults and machines, failed", f"{seen['tests']:,}, {len(seen['failed'])}", "0 failed", not seen["failed"]
        ),
        _at_least("kinds of fault, each by name in a test", faults, FAULTS_MIN),
        *(Row(f"  {area}", str(count)) for area, count in areas.most_common()),
        _at_least("planted bugs that were caught", planted, PLANTED_MIN),
    ]
    return rows + [Row(name, f"{value:,}") for name, value in seen["figures"].items()]


def _at_least(what: str, shown: dict[str, bool], least: int) -> Row:
    good = sum(shown.values())
    return Row(what, f"{good} of {len(shown)}", f"all, at least {least}", good == len(shown) >= least)


def of_soak(answer: Path) -> list[Row]:
    """Of `scripts/soak --json`, all stores together."""
    if not answer.exists():
        return [Row("soak", "did not run to its end", "all right", good=False)]
    stores: list[dict[str, Any]] = json.loads(answer.read_bytes())
    jobs, injected = (sum(store[name] for store in stores) for name in ("jobs", "injected"))
    rows = [
        Row("soak: jobs", f"{jobs:,}", f"≥ {JOBS_MIN:,}", jobs >= JOBS_MIN),
        Row("soak: faults injected", f"{injected:,}", f"≥ {INJECTED_MIN:,}", injected >= INJECTED_MIN),
    ]
    for name in ("lost", "doubled", "overlapping", "orphans"):
        count = sum(store[name] for store in stores)
        rows.append(Row(f"soak: {name}", str(count), "0", count == 0))
    others = {rule: count for store in stores for rule, count in store["findings"].items()}
    return [*rows, Row("soak: findings of any kind", str(others or 0), "0", not others)]


def of_bench(answer: Path) -> list[Row]:
    """Of `scripts/bench --json`: figures that have a target."""
    if not answer.exists():
        return [Row("bench", "did not run to its end", "all reached", good=False)]
    reports = json.loads(answer.read_bytes())
    return [
        Row(
            f"{report['title'].partition(':')[0]}: {figure['what']}",
            figure["shown"],
            figure["target"],
            figure["good"] is not False,
        )
        for report in reports
        for figure in report["figures"]
        if figure["good"] is not None
    ]


def show(rows: list[Row]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("what", "figure", "must be", ""):
        table.add_column(name, justify="left" if name in {"what", ""} else "right")
    for row in rows:
        table.add_row(
            row.what, row.shown, row.target, "[green]ok[/]" if row.good and row.target else "" if row.good else "[red]short[/]"
        )
    console.print(table)
    for row in rows:
        print(f"| {row.what.strip()} | {row.shown} |")
