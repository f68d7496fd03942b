"""A pool that is tended, with an event for each time a worker falls idle; a lane that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from heavyjobs.events import WorkerOptions
from heavyjobs.slots.guardian import Guardian
from heavyjobs.slots.pool import LaneKeeper, Pool
from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import DEADLINE_SECONDS, DEEDS, ROOT


@asynccontextmanager
async def keeping_a_lane() -> AsyncGenerator[WorkerProcess]:
    """One that is tended, warm."""
    guardian, warm = Guardian(), asyncio.Event()
    guardian.start()
    options = WorkerOptions(marker="lane", modules=(DEEDS,), path=(str(ROOT),))
    lane = LaneKeeper(options, guardian, preload=(DEEDS,), on_warm=warm.set, on_stillborn=print)
    tending = asyncio.create_task(lane.tend())
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (worker := lane.worker) is None:
                warm.clear()
                await warm.wait()
        yield worker
    finally:
        tending.cancel()
        await asyncio.wait([tending])
        await lane.close()
        guardian.stop()


class Keeper:
    """Has two workers, which a guardian watches."""

    def __init__(self) -> None:
        self.guardian = Guardian()
        self.guardian.start()
        self._news = asyncio.Event()
        options = WorkerOptions(marker="pool", modules=(DEEDS,), path=(str(ROOT),))
        self.pool = Pool(options, self.guardian, preload=(DEEDS,), on_idle=self._news.set, on_stillborn=print, target=2)
        self._tending = asyncio.create_task(self.pool.tend())

    async def idle(self, number: int) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while self.pool.idle != number:
                self._news.clear()
                await self._news.wait()

    async def close(self) -> None:
        self._tending.cancel()
        await asyncio.wait([self._tending])
        await self.pool.close()
        self.guardian.stop()
