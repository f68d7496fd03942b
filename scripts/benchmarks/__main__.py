"""Measure what was asked for, print it, say what falls short."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks import archives, cancel, films, idle, kill, latency, logs, noop, recovery, restart
from benchmarks.machine import describe
from benchmarks.report import Report, console, summarize
from benchmarks.stage import Broken, Stage
from heavyjobs import HeavyjobsError
from heavyjobs.testing.postgres import PostgresServer, postgres_server

Part = Callable[[Stage, Report], Awaitable[None]]

PARTS: Final[dict[str, tuple[str, Part]]] = {
    "latency": ("from submit to run, and from run to the caller", latency.measure),
    "idle": ("a coordinator with nothing to do", idle.measure),
    "cancel": ("cancels, from another process than the submitter", cancel.measure),
    "kill": ("a coordinator killed in the middle of 20 jobs", kill.measure),
    "recovery": ("the jobs of killed hosts, taken over for their silence", recovery.measure),
    "logs": ("a flood of log lines", logs.measure),
    "noop": ("no-op jobs, drained by one coordinator", noop.measure),
    "archives": ("archives, beside the programs that do the same", archives.measure),
    "films": ("a film in pieces on two slots", films.measure),
    "restart": ("no-op jobs before and after faults of the database", restart.measure),
}
STORES: Final = ("sqlite", "postgres")
ONCE: Final = {"archives"}
"""Measured on the first store only, as nearly all of the work is elsewhere."""


def main() -> None:
    options = argparse.ArgumentParser(
        prog="scripts/bench",
        description="How well heavyjobs does, in figures.",
        epilog="Exits 0 also when figures fall short of their targets: they depend on the machine and are printed as such. "
        "Exits 1 when something broke, so that there is no figure.",
    )
    options.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; by default all")
    options.add_argument("--store", choices=STORES, help="only this one")
    options.add_argument("--quick", action="store_true", help="few repetitions: to see that it works, not for figures")
    options.add_argument("--json", metavar="FILE", help="write the figures there too")
    given = options.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        options.error(f"{unknown[0]}: no such part; there are {', '.join(PARTS)}")
    stores = [given.store] if given.store else STORES
    with tempfile.TemporaryDirectory(prefix="heavyjobs-bench-") as folder, _server(wanted="postgres" in stores) as server:
        for name, value in describe(Path(folder), server):
            console.print(f"[dim]{name:<12}[/] {value}")
        console.print()
        stages = [Stage(Path(folder), server if store == "postgres" else None, quick=given.quick) for store in stores]
        reports, broken = asyncio.run(_measure(given.parts or [*PARTS], stages))
    summarize(reports)
    if given.json:
        Path(given.json).write_text(json.dumps([asdict(report) for report in reports], indent=1) + "\n", "utf-8")
    if broken:
        sys.exit(f"broken: {', '.join(broken)}")


async def _measure(parts: list[str], stages: list[Stage]) -> tuple[list[Report], list[str]]:
    reports: list[Report] = []
    broken: list[str] = []
    for name in parts:
        title, part = PARTS[name]
        for stage in stages[:1] if name in ONCE else stages:
            report = Report(f"{name}, {stage.name}: {title}")
            began = time.monotonic()
            try:
                await part(stage, report)
            except* (Broken, HeavyjobsError, TimeoutError) as errors:
                console.print(f"[red]{report.title}: broken[/]: {errors.exceptions[0]!r}", soft_wrap=True)
                broken.append(f"{name}, {stage.name}")
            report.title += f" ({time.monotonic() - began:.0f} s)"
            report.show()
            reports.append(report)
    return reports, broken


@contextmanager
def _server(*, wanted: bool) -> Generator[PostgresServer | None]:
    """A PostgreSQL whose commits are durable."""
    if not wanted:
        yield None
        return
    with postgres_server(settings={"fsync": "on", "full_page_writes": "on"}) as server:
        yield server


if __name__ == "__main__":
    main()
