"""Take from the database what fits now, and find what an answer that was lost has given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from heavyjobs.coordinator import journal, wants
from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.coordinator.lease import Lease
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import Session
from heavyjobs.settings import CoordinatorSettings
from heavyjobs.slots.pool import Pool
from heavyjobs.slots.probe import KindSeen
from heavyjobs.store.patience import Patience
from heavyjobs.store.protocol import Store
from heavyjobs.waiting import first_of

UNSURE_SECONDS: Final = 30.0
"""A claim whose answer was lost may still commit: for so long the database is asked what it holds for us."""

LOOK_SECONDS: Final = 1.0
"""How often, after a first look at once: the answer has all that is held, a look at each claim costs more than the claim."""


class Claiming:
    """One session's claims.

    Attributes:
        now: set it when something may fit that did not before.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        dispatch: Dispatch,
        pool: Pool,
        lease: Lease,
        *,
        kinds: Mapping[str, KindSeen],
        host: CoordinatorSettings,
        draining: asyncio.Event,
        now: asyncio.Event,
    ) -> None:
        self._store = store
        self._session = session
        self._dispatch = dispatch
        self._pool = pool
        self._lease = lease
        self._kinds = kinds
        self._host = host
        self._draining = draining
        self._now = now
        self._unsure_until = self._look_at = 0.0

    async def run(self) -> None:
        """Claim until draining begins; when this returns, nothing that was claimed is unknown to the dispatch."""
        patience = Patience()
        while not self._draining.is_set():
            self._now.clear()
            try:
                more = await self._round()
            except StoreUnavailable as error:
                journal.say("claim failed", level="WARNING", reason=error)
                self._doubt()
                await patience.wait()
                continue
            patience.renew()
            if not more:
                await first_of(self._now, self._draining, seconds=self._host.poll_every)
        while self._unsure:
            try:
                await self._adopt()
            except StoreUnavailable:
                await patience.wait()
            else:
                return

    async def _round(self) -> bool:
        """Take what fits; whether asking again at once may give more."""
        if not self._lease.holds:
            return False
        await self._look()
        held = self._dispatch.held()
        asked = wants.wants(
            slots=self._session.queues,
            kinds=self._kinds,
            held=held,
            idle_workers=self._pool.idle,
            lane_size=self._host.lane,
        )
        if not asked:
            return False
        claimed = await self._store.claim(
            self._session.id,
            asked,
            cpus=wants.cpus_left(self._host.cpus, held),
            memory_bytes=wants.memory_left(self._host.memory, held),
            host=self._session.name,
        )
        self._dispatch.take(claimed)
        return bool(claimed)

    # -- claims whose answer was lost

    def _doubt(self) -> None:
        """A claim has failed, or it has not: only its answer is known to be lost."""
        self._look_at = asyncio.get_running_loop().time()
        self._unsure_until = self._look_at + UNSURE_SECONDS

    @property
    def _unsure(self) -> bool:
        return asyncio.get_running_loop().time() < self._unsure_until

    async def _look(self) -> None:
        if self._unsure and self._look_at <= asyncio.get_running_loop().time():
            await self._adopt()
            self._look_at = asyncio.get_running_loop().time() + LOOK_SECONDS

    async def _adopt(self) -> None:
        """Start what the database says we hold and we do not know of.

        Nothing any more when the lease has lapsed: what was ended for that is held still, by the database's word.
        """
        meanwhile = self._dispatch.watch_settling()
        held = await self._store.held(self._session.id)
        self._dispatch.adopt(held if self._lease.holds else (), meanwhile)
