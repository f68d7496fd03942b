"""A pool that is tended, and an event for each time a worker falls idle."""

from __future__ import annotations

import asyncio

from heavyjobs.events import WorkerOptions
from heavyjobs.slots.guardian import Guardian
from heavyjobs.slots.pool import Pool
from tests.slots.ears import DEADLINE_SECONDS, DEEDS, ROOT


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
