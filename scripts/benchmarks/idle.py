"""What a coordinator costs that has nothing to do: processor time, and statements per second.

PostgreSQL writes down every statement that it gets (`log_statement`). SQLite says each that it runs to a trace callback, in a
second coordinator (`benchmarks.counted`), so that counting does not add to the processor time.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from benchmarks.processes import cpu_seconds
from benchmarks.report import Report
from benchmarks.stage import Daemon, Stage

SECONDS: Final = 20.0
_SENT: Final = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")


async def measure(stage: Stage, report: Report) -> None:
    seconds = 5.0 if stage.quick else SECONDS
    url = await stage.database(log_statements=True)
    async with stage.coordinator(url) as daemon:
        await asyncio.sleep(3.0)
        before = len(stage.server.log) if stage.server else 0
        own, helpers = await _cpu_shares(daemon, seconds)
        sent = _sent(stage.server.log[before:]) if stage.server else None
    report.at_most(f"processor of the coordinator, over {seconds:.0f} s", own * 100, 1.0, "% of a core")
    report.note("of its workers, guardian and fork server", f"{helpers * 100:.2f} % of a core")
    if sent is None:
        sent = await _traced(stage, seconds)
    looks, brackets = _of(sent, "PRAGMA data_version"), _of(sent, "BEGIN", "COMMIT")
    report.at_most("statements per second, transactions' brackets aside", (sent.total() - looks - brackets) / seconds, 5.0)
    report.note("BEGIN and COMMIT per second", f"{brackets / seconds:.1f}")
    if looks:
        report.note("looks for wake-ups per second (PRAGMA data_version: no page is read)", f"{looks / seconds:.1f}")
    for what, often in sent.most_common(8):
        report.note(f"  {what[:60]}", f"{often / seconds:.2f}")


async def _cpu_shares(daemon: Daemon, seconds: float) -> tuple[float, float]:
    """Shares of one core: of the coordinator, and of all its helpers."""
    helpers, began = daemon.helpers(), time.monotonic()
    before = cpu_seconds([daemon.seen]), cpu_seconds(helpers)
    await asyncio.sleep(seconds)
    after, passed = (cpu_seconds([daemon.seen]), cpu_seconds(helpers)), time.monotonic() - began
    return (after[0] - before[0]) / passed, (after[1] - before[1]) / passed


def _of(statements: Counter[str], *beginnings: str) -> int:
    return sum(often for what, often in statements.items() if what.startswith(beginnings))


def _sent(log: str) -> Counter[str]:
    return _heads(found.group(1) for found in map(_SENT.search, log.splitlines()) if found)


async def _traced(stage: Stage, seconds: float) -> Counter[str]:
    trace = Path(stage.folder, "statements")
    url = await stage.database()
    async with stage.coordinator(url, module="benchmarks.counted"):
        await asyncio.sleep(3.0)
        before = _lines(trace)
        await asyncio.sleep(seconds)
        after = _lines(trace)
    return _heads(after[len(before) :])


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8", "replace").splitlines()


def _heads(statements: Iterable[str]) -> Counter[str]:
    return Counter(" ".join(statement.split()) for statement in statements)
