"""Whoever submits jobs and waits for them: the real client, on a computer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from heavyjobs.client import Client, Handle
from heavyjobs.errors import StoreUnavailable, WrongState
from heavyjobs.model import Outcome, Succeeded
from heavyjobs.testing.reference import ReferenceDatabase
from tests.simulation.computers import Computer
from tests.simulation.loop import new_loop
from tests.simulation.scripts import Script, config_of, some_script
from tests.simulation.stores import Applied, Network, Reached, as_store
from tests.simulation.world import World


@dataclass(slots=True)
class Orders:
    """What all customers were told.

    Attributes:
        accepted: jobs whose submit returned.
        heard: how jobs ended, to whoever waited.
        waiting: jobs that somebody waits for now, and who.
    """

    accepted: list[UUID] = field(default_factory=list[UUID])
    heard: list[tuple[UUID, Outcome[Any, Any]]] = field(default_factory=list[tuple[UUID, Outcome[Any, Any]]])
    waiting: dict[UUID, str] = field(default_factory=dict[UUID, str])


class Customer:
    """One client process."""

    def __init__(
        self, computer: Computer, database: ReferenceDatabase, network: Network, orders: Orders, *, applied: Applied
    ) -> None:
        self.loop: Final = new_loop(computer, computer.name, trouble=computer.world.breaks)
        self._world: Final[World] = computer.world
        self._orders = orders
        self._client: Final = Client(as_store(Reached(database, self.loop, network, applied=applied)))
        self._do(self._live())

    def order(self, script: Script | None = None, *, cancel_after: float | None = None, delay: float | None = None) -> None:
        """Submit a job, by chance if none is given, and wait for its end; cancel it meanwhile, if so wished."""
        chosen = script or some_script(self._world.random)
        self.loop.post(lambda: self._do(self._order(chosen, cancel_after=cancel_after, delay=delay)))

    def die(self) -> None:
        """And nobody waits any more for what it waited for."""
        self.loop.die()
        for job in [job for job, who in self._orders.waiting.items() if who == self.loop.name]:
            del self._orders.waiting[job]

    # -- its tasks

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.create_task(work).add_done_callback(self._look_at_end)

    def _look_at_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._world.breaks(f"{self.loop.name}: {error!r}")

    async def _live(self) -> None:
        async with self._client:
            await asyncio.Event().wait()

    async def _order(self, script: Script, *, cancel_after: float | None, delay: float | None) -> None:
        config = config_of(script, self._world.random)
        try:
            handle = await self._client.submit_kind(script.kind, script.parameters(), config=config, delay=delay)
        except StoreUnavailable:
            return  # it may be there, or not: nobody was promised anything
        self._orders.accepted.append(handle.id)
        if cancel_after is not None:
            self._do(self._cancel(handle, after=cancel_after))
        await self._await(handle)
        if cancel_after is None and self._world.chance(0.2):
            await self._retry(handle)

    async def _await(self, handle: Handle[Any, Any, Any]) -> None:
        self._orders.waiting[handle.id] = self.loop.name
        outcome = await handle.wait()
        assert outcome is not None, "it was awaited without a timeout"
        self._orders.waiting.pop(handle.id, None)
        self._orders.heard.append((handle.id, outcome))

    async def _cancel(self, handle: Handle[Any, Any, Any], *, after: float) -> None:
        await asyncio.sleep(after)
        with suppress(StoreUnavailable):  # perhaps it is cancelled, perhaps not
            await handle.cancel(wait=False)

    async def _retry(self, handle: Handle[Any, Any, Any]) -> None:
        if isinstance(self._orders.heard[-1][1], Succeeded):
            return
        try:
            await handle.retry()
        except (StoreUnavailable, WrongState):
            return  # perhaps it is
        await self._await(handle)
