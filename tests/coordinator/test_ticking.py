"""What a session's ticks ask of its machine."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from uuid import UUID

from typing_extensions import override

from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.coordinator.host import new_session
from heavyjobs.coordinator.lease import Lease
from heavyjobs.coordinator.machine import Machine
from heavyjobs.coordinator.ticking import Ticking
from heavyjobs.model import ClaimKey, Session
from heavyjobs.settings import CoordinatorSettings
from heavyjobs.slots.guardian import Guardian
from heavyjobs.store.records import SessionSeen, Tick
from heavyjobs.store.sqlite import SqliteStore
from tests.coordinator.conftest import nothing_runs
from tests.lifecycle.asking import until


class Counting(Machine):
    """Counts how often it was asked whether another session's process is gone."""

    looks = 0

    @override
    def is_gone(self, other: SessionSeen, *, here: Session) -> bool:
        self.looks += 1
        return super().is_gone(other, here=here)


class Ticked(SqliteStore):
    ticks = 0

    @override
    async def tick(self, session: UUID, held: Collection[ClaimKey]) -> Tick:
        self.ticks += 1
        return await super().tick(session, held)


async def test_a_neighbour_is_looked_for_once_a_tick(tmp_path: Path, dispatch: Dispatch) -> None:
    here, neighbour, machine = new_session("here"), new_session("neighbour"), Counting()
    async with Ticked(f"sqlite:///{tmp_path}/ticks.db") as store:
        await store.migrate()
        await store.register(here)
        await store.register(neighbour)
        ticking = Ticking(
            store,
            here,
            dispatch,
            Lease(60, Guardian(), on_lapse=lambda: None),
            machine,
            host=CoordinatorSettings(tick_every=0.02),
            predecessors=frozenset(),
            draining=asyncio.Event(),
            now=asyncio.Event(),
            spawn=nothing_runs,
            forfeited=lambda: None,
        )

        running = asyncio.create_task(ticking.run())
        await until(lambda: machine.looks >= 6)
        running.cancel()
        await asyncio.wait([running])

    assert machine.looks <= store.ticks
