"""How long after the death of a host each of its jobs runs again on another, beyond the silence that has to pass first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

from benchmarks.jobs import Revived
from benchmarks.report import Report, percentile
from benchmarks.stage import Broken, Daemon, Stage
from heavyjobs import Client

ROUNDS: Final = 6
JOBS: Final = 10
FORFEIT_AFTER_SECONDS: Final = 3.0
SETTINGS: Final[Mapping[str, str]] = {
    "tick_every": "500ms",
    "lease": "1500ms",
    "kill": "1s",
    "forfeit_after": f"{FORFEIT_AFTER_SECONDS}s",
}
LONGEST_SECONDS: Final = 60.0


async def measure(stage: Stage, report: Report) -> None:
    """A host of its own name is killed with ten jobs, again and again, while another stands by."""
    rounds = 3 if stage.quick else ROUNDS
    beyond = [seconds - FORFEIT_AFTER_SECONDS for _ in range(rounds) for seconds in await _round(stage)]
    what = f"each of {len(beyond)} jobs of {rounds} killed hosts runs again, beyond forfeit_after of {FORFEIT_AFTER_SECONDS} s"
    report.note(f"{what}: p50", f"{percentile(beyond, 0.5):.2f} s")
    report.at_most(f"{what}: p99", percentile(beyond, 0.99), 2.0, "s")


async def _round(stage: Stage) -> list[float]:
    """Seconds from the kill until each job ran again."""
    url = await stage.database()
    begun, gate = stage.folder / f"{uuid4().hex}.begun", stage.folder / f"{uuid4().hex}.gate"
    async with (
        Client.open(url) as client,
        stage.coordinator(url, slots=JOBS, warm=False, module="benchmarks.elsewhere", **SETTINGS) as host,
    ):
        handles = await client.submit_many([Revived(begun=str(begun), gate=str(gate)) for _ in range(JOBS)])
        await _until_begun(begun, claim=1)
        async with stage.coordinator(url, slots=JOBS, warm=False, **SETTINGS):
            await asyncio.sleep(2 * FORFEIT_AFTER_SECONDS / 3)  # for some ticks of both; the kill falls anywhere between two
            killed_ns = _kill(host)
            again = await _until_begun(begun, claim=2)
            gate.touch()
            async with asyncio.timeout(LONGEST_SECONDS):
                await asyncio.gather(*(handle.result() for handle in handles))
    return [(moment - killed_ns) / 1e9 for moment in again]


def _kill(host: Daemon) -> int:
    now = time.time_ns()
    host.kill()
    return now


async def _until_begun(begun: Path, *, claim: int) -> list[int]:
    """When each of the jobs began with that claim."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while len(moments := _moments(begun, claim)) < JOBS:
        if time.monotonic() > deadline:
            raise Broken(f"{JOBS - len(moments)} of {JOBS} jobs have not begun with claim {claim}")
        await asyncio.sleep(0.02)
    return moments


def _moments(begun: Path, claim: int) -> list[int]:
    lines = begun.read_text("ascii").splitlines() if begun.exists() else []
    return [int(moment) for number, moment in map(str.split, lines) if int(number) == claim]
