"""A flood of log lines through one job: complete, in order, with little memory, and with ticks that stay on time."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any, Literal

from benchmarks.jobs import Lines
from benchmarks.report import Report
from benchmarks.stage import Daemon, Stage
from heavyjobs import Client, Handle
from heavyjobs.model import Source

TICK_SECONDS = 1.0


class Ticks:
    """The coordinator's ticks, as the database shows them."""

    def __init__(self, client: Client, pid: int) -> None:
        self._client = client
        self._pid = pid
        self._last: tuple[int, datetime] | None = None
        self.latest_seconds = 0.0
        """How much later than one interval after the tick before it the latest one came."""

    async def watch(self) -> None:
        while True:
            for one in await self._client.coordinators():
                if one.session.pid == self._pid:
                    self._see(one.tick, one.ticked_at)
            await asyncio.sleep(0.1)

    def _see(self, tick: int, at: datetime) -> None:
        if self._last and tick > self._last[0]:
            passed = (at - self._last[1]).total_seconds() / (tick - self._last[0])
            self.latest_seconds = max(self.latest_seconds, passed - TICK_SECONDS)
        self._last = tick, at


async def measure(stage: Stage, report: Report) -> None:
    url = await stage.database()
    count = 100_000 if stage.quick else 1_000_000
    for way in ("print", "child"):
        async with Client.open(url) as client, stage.coordinator(url, log_bytes=0, tick_every=TICK_SECONDS) as daemon:
            await _flood(report, client, daemon, count, way)


async def _flood(report: Report, client: Client, daemon: Daemon, count: int, way: Literal["print", "child"]) -> None:
    ticks = Ticks(client, daemon.process.pid)
    watching = asyncio.create_task(ticks.watch())
    began = time.monotonic()
    handle = await client.submit(Lines(count=count, way=way))
    await handle.result()
    seconds = time.monotonic() - began
    watching.cancel()
    peak = daemon.peak_bytes()
    began = time.monotonic()
    good, wrong = await _in_order(handle)
    reading = time.monotonic() - began
    what = f"{count:,} lines, " + ("printed" if way == "print" else "of a child program")
    report.note(what, f"{seconds:.1f} s, {count / seconds:,.0f} lines/s")
    report.true(f"{what}: complete and in order", f"{good:,}" + (f", then {wrong!r}" if wrong else ""), good=good == count)
    report.note(f"{what}: read back", f"{reading:.1f} s, {count / reading:,.0f} lines/s")
    report.at_most(f"{what}: peak memory of the coordinator", peak / 2**20, 300, "MiB")
    report.at_most(f"{what}: latest tick, after it was due", max(0.0, ticks.latest_seconds), TICK_SECONDS, "s")


async def _in_order(handle: Handle[Any, Any, Any]) -> tuple[int, str]:
    """How many lines were as they should be, and the first that was not."""
    good = 0
    async for line in handle.logs():
        if line.source is Source.HEAVYJOBS:
            continue
        if line.text != str(good + 1):
            return good, line.text
        good += 1
    return good, ""
