"""Cancel what spins, what is stuck in C code and what runs ffmpeg, from another process than the one that submitted."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.canceller import Canceller, canceller
from benchmarks.jobs import Brood, Film, Going, Spin, Stuck, Way
from benchmarks.processes import alive, marked
from benchmarks.report import Report, spread
from benchmarks.stage import Daemon, Stage, until_it_reports
from heavyjobs import Client, Job

GRACE_SECONDS: Final = 1.0
SLOTS: Final = 2
WAYS: Final[Sequence[Way]] = ("spin", "sleep", "spin", "sleep", "spin", "sleep", "spin", "sleep", "stuck")


async def measure(stage: Stage, report: Report) -> None:
    url = await stage.database()
    async with Client.open(url) as client, canceller(url) as other:
        async with stage.coordinator(url, slots=SLOTS) as daemon:
            for what, job, graced in (
                ("a spinning pure-Python job", Spin(), 0.0),
                ("one stuck in C with the interpreter's lock", Stuck(), GRACE_SECONDS),
                ("a running ffmpeg", Film(), 0.0),
            ):
                await _single(stage, report, client, other, what=what, job=job, graced=graced)
            await _many(stage, report, client, other, daemon)
        await asyncio.sleep(0.5)  # the server that forks sees the end of its pipe a moment later
        report.at_most("processes left once the coordinator has ended", len(marked(daemon.mark)), 0)


async def _single(
    stage: Stage, report: Report, client: Client, other: Canceller, *, what: str, job: Job[Any, Going, Any], graced: float
) -> None:
    seconds: list[float] = []
    left = 0
    for _ in range(stage.times(12)):
        handle = await client.submit(job)
        going = await until_it_reports(handle)
        seconds.append(await other.cancel(handle.id, GRACE_SECONDS) - graced)
        left += len(alive(going.pids))
    used = f", less {graced:g} s of grace" if graced else ""
    remark = spread([value * 1000 for value in seconds], "ms")
    report.at_most(f"{what}{used}", max(seconds), 1.0, "s", remark=remark)
    report.at_most(f"{what}: processes left when cancel returned", left, 0)


async def _many(stage: Stage, report: Report, client: Client, other: Canceller, daemon: Daemon) -> None:
    """Cancel as fast as they start, two at a time."""
    often = stage.times(200)
    jobs = [Brood(way=way) for way in itertools.islice(itertools.cycle(WAYS), often)]
    left: list[int] = []
    seconds: list[float] = []

    async def one_after_the_other(mine: list[Brood]) -> None:
        for job in mine:
            handle = await client.submit(job)
            going = await until_it_reports(handle)
            seconds.append(await other.cancel(handle.id, 0.2))
            left.extend(alive(going.pids))

    async with asyncio.TaskGroup() as tasks:
        for first in range(SLOTS):
            tasks.create_task(one_after_the_other(jobs[first::SLOTS]))
    report.note(f"{often} cancels, with 0.2 s of grace", spread([value * 1000 for value in seconds], "ms"))
    report.at_most(f"{often} cancels: processes left when each returned", len(left), 0)
    await asyncio.sleep(0.5)
    strangers = [process for process in daemon.helpers() if process.name() in {"sleep", "ffmpeg"}]
    report.at_most(f"{often} cancels: processes left behind", len(strangers), 0)
