"""From submit to the first line of `run`, and from its last line to the caller that awaits the result."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import dataclass, field
from typing import Final

from benchmarks.jobs import AsyncClock, Clock, Times
from benchmarks.report import Report, spread
from benchmarks.stage import Stage
from heavyjobs import Client, Job

TARGET_MS: Final = {"PostgreSQL": 15.0, "SQLite": 25.0}
REST_SECONDS: Final = (1.1, 1.3)
"""Long enough for everything to have fallen asleep."""


@dataclass(slots=True)
class Measured:
    there_ms: list[float] = field(default_factory=list[float])
    back_ms: list[float] = field(default_factory=list[float])


async def measure(stage: Stage, report: Report) -> None:
    url = await stage.database()
    async with stage.coordinator(url), Client.open(url) as client:
        rested = await _run(client, Clock(), stage.times(100), rest=True)
        busy = await _run(client, Clock(), stage.times(200), rest=False)
        lane = await _run(client, AsyncClock(), stage.times(200), rest=False)
    most = TARGET_MS[stage.name]
    for way, measured in (("after a second of rest", rested), ("one after the other", busy), ("async def", lane)):
        for what, values in (("submit → run", measured.there_ms), ("run → caller", measured.back_ms)):
            report.at_most(f"{what}, {way}", statistics.median(values), most, "ms", remark=spread(values, "ms"))


async def _run(client: Client, job: Job[Times], often: int, *, rest: bool) -> Measured:
    measured = Measured()
    await (await client.submit(job)).result()
    for _ in range(often):
        if rest:
            await asyncio.sleep(random.uniform(*REST_SECONDS))  # noqa: S311 - no secret
        submitted = time.time_ns()
        times = await (await client.submit(job)).result()
        measured.back_ms.append((time.time_ns() - times.last_ns) / 1e6)
        measured.there_ms.append((times.first_ns - submitted) / 1e6)
    return measured
