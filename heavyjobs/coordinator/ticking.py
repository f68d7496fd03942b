"""Give the session's regular word, renew the lease by it, and act on what comes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

from heavyjobs.coordinator import journal
from heavyjobs.coordinator.dispatch import Dispatch, Spawn
from heavyjobs.coordinator.lease import Lease
from heavyjobs.coordinator.machine import Machine
from heavyjobs.coordinator.silence import Silence
from heavyjobs.errors import SessionFenced, StoreUnavailable
from heavyjobs.model import Session, short_id
from heavyjobs.settings import CoordinatorSettings
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import SessionSeen, Tick
from heavyjobs.waiting import first_of

LAST_WRITE_SECONDS: Final = 5.0
"""How long a session whose lease has lapsed tries to write what had ended before."""


class Ticking:
    """One session's ticks.

    Args:
        predecessors: own earlier sessions, which are forfeited as soon as they are seen.
        now: set by whoever knows that something concerns this session.
        forfeited: called when another session's jobs were taken back.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        dispatch: Dispatch,
        lease: Lease,
        machine: Machine,
        *,
        host: CoordinatorSettings,
        predecessors: frozenset[UUID],
        draining: asyncio.Event,
        now: asyncio.Event,
        spawn: Spawn,
        forfeited: Callable[[], None],
    ) -> None:
        self._store = store
        self._session = session
        self._dispatch = dispatch
        self._lease = lease
        self._machine = machine
        self._host = host
        self._predecessors = predecessors
        self._draining = draining
        self._now = now
        self._spawn = spawn
        self._forfeited = forfeited
        self._silence = Silence(forfeit_after=host.forfeit_after, gap_max=host.lease)
        self._neighbours: frozenset[UUID] = frozenset()
        self._forfeiting: set[UUID] = set()

    async def run(self) -> None:
        """Tick until cancelled, while draining too.

        Raises:
            SessionFenced: by another, or because the lease has lapsed.
        """
        while True:
            began = self._machine.now()
            try:
                tick = await self._store.tick(self._session.id, self._dispatch.claims())
            except StoreUnavailable as error:
                journal.say("tick failed", level="WARNING", reason=error)
            else:
                self._lease.renew(began)
                self._heed(tick)
            if self._lease.lapsed.is_set():
                # What has ended by itself is still ours to say, as long as nobody has taken it.
                self._dispatch.abandon()
                await first_of(self._dispatch.empty, seconds=LAST_WRITE_SECONDS)
                raise SessionFenced("the lease has lapsed: the database was out of reach for too long")
            self._now.clear()
            await first_of(self._now, seconds=max(0.0, self._host.tick_every - (self._machine.now() - began)))

    def _heed(self, tick: Tick) -> None:
        for claim in tick.lost:
            self._dispatch.lose(claim)
        for order in tick.cancels:
            self._dispatch.cancel(order)
        if tick.drain:
            self._draining.set()
        gone = {other.id for other in tick.others if self._is_gone(other)}
        for silent in self._silence.look(self._machine.now(), tick.others, gone=gone):
            if silent.id not in self._forfeiting:
                self._forfeiting.add(silent.id)
                self._spawn(self._forfeit(silent), f"forfeiting {short_id(silent.id)}")
        self._greet(other for other in tick.others if other.id not in gone)

    def _greet(self, others: Iterable[SessionSeen]) -> None:
        """Say once that another coordinator works on this very host: it promises the same processors again."""
        here = [other for other in others if other.boot_id == self._session.boot_id]
        for other in here:
            if other.id not in self._neighbours:
                journal.say("another coordinator runs on this host", level="WARNING", session=other.id, pid=other.pid)
        self._neighbours = frozenset(other.id for other in here)

    def _is_gone(self, other: SessionSeen) -> bool:
        return other.id in self._predecessors or self._machine.is_gone(other, here=self._session)

    async def _forfeit(self, silent: SessionSeen) -> None:
        try:
            if self._machine.is_helpless(silent, here=self._session):
                # What it started may still be at work: its guardian is about to end it, or is as helpless.
                await self._machine.end_left_by(silent)
            taken = await self._store.forfeit(
                self._session.id,
                session=silent.id,
                tick=silent.tick,
                jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
            )
        except StoreUnavailable:
            return  # the next tick shows whether it is still to be done
        finally:
            self._forfeiting.discard(silent.id)
        if taken is not None:
            journal.say("declared dead", level="WARNING", session=silent.id, host=silent.host, pid=silent.pid, jobs=len(taken))
            self._forfeited()
