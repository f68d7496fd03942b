"""Jobs before, during and after a fault: what each of them must have come to, whatever happened to the database meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from heavyjobs import Client
from heavyjobs.errors import StoreUnavailable
from heavyjobs.job import AnyJob
from heavyjobs.model import Ending, JobState
from heavyjobs.store import open_store
from heavyjobs.store.histories import examine_store
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Filter, StoreOptions
from tests.lifecycle.asking import AnyHandle, endings, said, texts, until
from tests.lifecycle.hosts import coordinating
from tests.lifecycle.work import AsyncFamily, AsyncNap, Family, Note, Ticker

SECONDS: Final = 60.0
UNHURRIED: Final = {"lease": "60s", "forfeit_after": "2m"}
"""No fault here outlasts the lease, on however slow a machine: so no job may notice any."""


class Ordeal:
    """One client's jobs.

    Attributes:
        client: to whom the faults happen too.
    """

    def __init__(self, client: Client, folder: Path) -> None:
        self.client: Final = client
        self._gate: Final = folder / "enough"
        self._ticks: Final = folder / "ticks"
        self._notes: Final = folder / "notes"
        self._handles: Final[list[AnyHandle]] = []
        self._named: Final[list[str]] = []
        self._tries = 0

    async def begin(self) -> None:
        """Have a job in a slot and one on the lane that go on until the end."""
        self._ticker = await self.client.submit(Ticker(until=self._gate, ticks=self._ticks))
        self._nap = await self.client.submit(AsyncNap(until=self._gate))
        self._handles.extend([self._ticker, self._nap])
        await said(self._ticker, "tick 3")
        await said(self._nap, "napping")

    async def submit(self) -> Sequence[AnyHandle]:
        """Submit some more, again and again if need be, until they are accepted."""
        note = await self._submit_note()
        families = [await self._accepted(Family(numbers=[1, 2])), await self._accepted(AsyncFamily(numbers=[3, 4]))]
        self._handles.extend([note, *families])
        return [note, *families]

    async def work(self) -> None:
        """Submit some, and wait until they are done."""
        async with asyncio.timeout(SECONDS):
            for handle in await self.submit():
                await handle.result()

    async def end(self) -> None:
        """Everything ends well, nothing was lost, nothing done twice."""
        await self.work()
        self._gate.touch()
        async with asyncio.timeout(SECONDS):
            for handle in self._handles:
                await handle.result()
            assert await texts(self._ticker) == [f"tick {number}" for number in range(await self._ticker.result())]
            for handle in self._handles:
                assert await endings(self.client, handle) == [Ending.SUCCEEDED]
        times = Counter(line.split()[0] for line in self._notes.read_text().splitlines())
        assert times.keys() >= set(self._named)
        assert set(times.values()) == {1}

    @property
    def accepted(self) -> list[AnyHandle]:
        return self._handles

    @property
    def tries(self) -> int:
        """How often `submit` has tried to submit its first job, in all; more than once where one was not acknowledged."""
        return self._tries

    async def _submit_note(self) -> AnyHandle:
        """Each try under a name of its own: one that was not acknowledged may have been stored, once."""
        async with asyncio.timeout(SECONDS):
            while True:
                self._tries += 1
                try:
                    handle = await self.client.submit(Note(path=self._notes, text=f"note-{self._tries}"))
                except StoreUnavailable:
                    continue
                self._named.append(f"note-{self._tries}")
                return handle

    async def _accepted(self, job: AnyJob) -> AnyHandle:
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    return await self.client.submit(job)
                except StoreUnavailable:
                    continue


@asynccontextmanager
async def ordeal(url: str, folder: Path, *, directly: str | None = None, **how: Any) -> AsyncGenerator[Ordeal]:
    """A client and a coordinator on that database, with jobs that run; at the end all of them are held to account.

    Args:
        directly: the database's own URL, where the other goes through something.
        how: as `coordinating` takes it.
    """
    options = StoreOptions(timeout_seconds=2.0, notify=how.get("notify", True), listen_url=how.get("listen_url"))
    async with Client.open(url, options=options) as client, coordinating(url, **{**UNHURRIED, **how}):
        one = Ordeal(client, folder)
        await one.begin()
        yield one
        await one.end()
        await sound(directly or url, one.accepted)


async def sound(url: str, accepted: Sequence[AnyHandle]) -> None:
    """The whole history that the database tells is one that may be, once everything has ended."""
    async with open_store(url) as store:
        with suppress(AssertionError):  # what goes on for ever is named below
            await until(lambda: _at_rest(store))
        report = await examine_store(store, accepted={handle.id for handle in accepted}, settled=True)
        assert not report.found, "\n".join(map(str, report.findings))
        assert report.jobs >= len(accepted)


async def _at_rest(store: Store) -> bool:
    """Whether nothing is under way: also of what was stored, but not acknowledged, so that nobody waits for it."""
    return not await store.list(Filter(states=[state for state in JobState if not state.ended], limit=1))
