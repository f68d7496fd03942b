"""Jobs that do nothing, drained by one coordinator: what a job costs beside its work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.jobs import AsyncNoOp, NoOp
from benchmarks.processes import cpu_seconds
from benchmarks.report import Report
from benchmarks.stage import Broken, Stage
from heavyjobs import Client
from heavyjobs.job import AnyJob
from heavyjobs.model import JobState

GOING: Final = (JobState.SCHEDULED, JobState.READY, JobState.RUNNING)


async def measure(stage: Stage, report: Report) -> None:
    url = await stage.database()
    async with stage.coordinator(url) as daemon, Client.open(url) as client:
        kinds: dict[str, Sequence[AnyJob]] = {
            "async def": [AsyncNoOp() for _ in range(stage.times(5000))],
            "def, two slots": [NoOp() for _ in range(stage.times(2000))],
        }
        for way, jobs in kinds.items():
            own, helpers = cpu_seconds([daemon.seen]), cpu_seconds(daemon.helpers())
            seconds = await _drain(client, jobs)
            own, helpers = cpu_seconds([daemon.seen]) - own, cpu_seconds(daemon.helpers()) - helpers
            report.note(f"{len(jobs):,} × {way}", f"{seconds:.2f} s, {len(jobs) / seconds:,.0f} jobs/s")
            cost = f"{own / len(jobs) * 1e6:,.0f} µs and {helpers / len(jobs) * 1e6:,.0f} µs"
            report.note(f"{way}: processor for each job, of coordinator and workers", cost)


async def _drain(client: Client, jobs: Sequence[AnyJob]) -> float:
    """Seconds from when they were all submitted, in one transaction, until the last had ended."""
    kind = jobs[0].kind
    await client.submit_many(jobs)
    began = time.time()
    while await client.list(states=GOING, kinds=[kind], limit=1):  # noqa: ASYNC110 - thousands of waits would be work too
        await asyncio.sleep(0.2)
    done = await client.list(states=[JobState.SUCCEEDED], kinds=[kind], limit=len(jobs) + 1)
    if len(done) != len(jobs):
        raise Broken(f"of {len(jobs)} no-op jobs {len(done)} succeeded")
    return max(job.finished_at.timestamp() for job in done if job.finished_at) - began
