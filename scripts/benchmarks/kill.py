"""SIGKILL of a coordinator in the middle of twenty jobs with child programs, while another coordinator stands by."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from benchmarks.jobs import Gated
from benchmarks.processes import alive, marked
from benchmarks.report import Report
from benchmarks.stage import Broken, Daemon, Stage, until_it_reports
from heavyjobs import Client, Handle
from heavyjobs.model import Ending

JOBS: Final = 20
GONE_SECONDS: Final = 30.0
FINISH_SECONDS: Final = 120.0


async def measure(stage: Stage, report: Report) -> None:
    """The jobs wait at a gate until the first coordinator is gone, so that none of them ends before."""
    url = await stage.database()
    gate, done = stage.folder / f"{uuid4().hex}.gate", stage.folder / f"{uuid4().hex}.done"
    async with Client.open(url) as client, stage.coordinator(url, slots=JOBS, warm=False) as killed:
        handles = await client.submit_many([Gated(gate=str(gate), done=str(done)) for _ in range(JOBS)])
        for handle in handles:
            await until_it_reports(handle)
        async with stage.coordinator(url, slots=JOBS, warm=False):
            before = [process.pid for process in marked(killed.mark)]
            began = time.monotonic()
            killed.kill()
            gone = await _gone(killed, before, began)
            gate.touch()
            async with asyncio.timeout(FINISH_SECONDS):
                await asyncio.gather(*(handle.result() for handle in handles))
            finished = time.monotonic() - began
        endings = await _endings(client, handles)
    report.at_most(f"seconds until all its {len(before)} processes were gone", gone, 2.0, "s")
    report.note(f"until another coordinator had finished all {JOBS}", f"{finished:.2f} s")
    shown = ", ".join(f"{often} × {' then '.join(ending)}" for ending, often in endings.items())
    report.true(
        "invocations of each job: one forfeited, one succeeded",
        shown,
        good=set(endings) == {(str(Ending.FORFEITED), str(Ending.SUCCEEDED))},
    )
    ends = Counter(UUID(line) for line in done.read_text("ascii").splitlines())
    once = sum(ends[handle.id] == 1 for handle in handles)
    report.true("each job's last line ran exactly once", f"{once} of {JOBS}", good=once == JOBS)


async def _gone(killed: Daemon, pids: Sequence[int], began: float) -> float:
    """Seconds until no process of it was left; looking through all of a crowded machine each time would slow them down."""
    await killed.process.wait()
    while alive(pids) or marked(killed.mark):
        if time.monotonic() - began > GONE_SECONDS:
            raise Broken(f"processes of a killed coordinator are still there: {marked(killed.mark)}")
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def _endings(client: Client, handles: Sequence[Handle[Any, Any, Any]]) -> Counter[tuple[str, ...]]:
    return Counter([tuple(str(run.ending) for run in await client.invocations(handle.id)) for handle in handles])
