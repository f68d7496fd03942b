"""Write what invocations do: status, logs and ends in batches, one statement bundle after the other.

What it guarantees
- a batch whose answer was lost is written again, the same, before anything newer: every write may be repeated;
- while one batch is on its way the next one grows, so the number of writes follows the database's speed and not the jobs';
- ends go at once, news at most every `CADENCE_SECONDS`;
- a worker whose log waits for a slow database is not read until it has been written: memory stays bounded, ticks go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from heavyjobs.coordinator import journal
from heavyjobs.coordinator.invocation import Invocation
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import ClaimKey
from heavyjobs.store.patience import Patience
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import End, LogChunk, Progress, Recorded
from heavyjobs.waiting import first_of

CADENCE_SECONDS: Final = 0.1
BATCH_MAX_BYTES: Final = 4 << 20
BATCH_MAX_ENDS: Final = 500


@dataclass(frozen=True, slots=True)
class Batch:
    progress: Sequence[Progress]
    logs: Sequence[LogChunk]
    ends: Sequence[End]


class Relay:
    """One session's writer."""

    def __init__(self, store: Store, session: UUID) -> None:
        self._store = store
        self._session = session
        self._dirty: dict[ClaimKey, Invocation] = {}
        self._ends: dict[ClaimKey, tuple[End, Sequence[LogChunk]]] = {}
        self._anything = asyncio.Event()
        self._urgent = asyncio.Event()

    def news(self, invocation: Invocation) -> None:
        """It has status, log lines or a bill to write, some time soon."""
        self._dirty[invocation.claimed.claim] = invocation
        self._anything.set()

    def ended(self, end: End, logs: Sequence[LogChunk] = ()) -> None:
        """An invocation has ended, with these last lines: write that now."""
        self._dirty.pop(end.progress.claim, None)
        self._ends[end.progress.claim] = (end, logs)
        self._anything.set()
        self._urgent.set()

    def forget(self, claim: ClaimKey) -> None:
        """The claim is lost: write nothing more about it."""
        self._dirty.pop(claim, None)
        self._ends.pop(claim, None)

    async def run(self, settled: Callable[[Recorded], None]) -> None:
        """Write as there is something to write, until cancelled; `settled` is told what became of each batch.

        Raises:
            SessionFenced: another coordinator has declared this session dead.
        """
        while True:
            await self._anything.wait()
            await first_of(self._urgent, seconds=CADENCE_SECONDS)  # let news gather, unless something ends
            self._anything.clear()
            self._urgent.clear()
            if (batch := self._collect()) is not None:
                settled(await self._record(batch))

    def _collect(self) -> Batch | None:
        ends = [self._ends.pop(claim) for claim in [*self._ends][:BATCH_MAX_ENDS]]
        dirty = self._some_dirty()
        if self._ends or self._dirty:
            self._anything.set()
        if self._ends:
            self._urgent.set()
        if not ends and not dirty:
            return None
        logs = [chunk for invocation in dirty for chunk in invocation.log.take()]
        return Batch(
            progress=[invocation.progress() for invocation in dirty],
            logs=logs + [chunk for _, chunks in ends for chunk in chunks],
            ends=[end for end, _ in ends],
        )

    def _some_dirty(self) -> list[Invocation]:
        """Those with news, as many as one batch should hold; what they have is taken, so their workers are read again."""
        some: list[Invocation] = []
        size = 0
        for claim, invocation in [*self._dirty.items()]:
            if size > BATCH_MAX_BYTES:
                break
            size += invocation.log.pending_bytes
            del self._dirty[claim]
            some.append(invocation)
            invocation.worker.resume()
        return some

    async def _record(self, batch: Batch) -> Recorded:
        patience = Patience()
        while True:
            try:
                return await self._store.record(self._session, progress=batch.progress, logs=batch.logs, ends=batch.ends)
            except StoreUnavailable as error:
                journal.say("the database is away; writing again", level="WARNING", reason=error)
                await patience.wait()
