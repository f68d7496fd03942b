"""The numbered lines that jobs say, looked for in their stored logs."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from heavyjobs.logs import decode_chunk
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Brief
from soaking.jobs import Soaked


async def numbers(store: Store, job: UUID, claim: int) -> Sequence[int]:
    """Of `line N`, each N in the order of the log."""
    found: list[int] = []
    following = 0
    while chunks := await store.logs(job, claim=claim, first=following):
        for chunk in chunks:
            found += (
                int(line.text[5:]) for line in decode_chunk(claim, chunk.first, chunk.data) if line.text.startswith("line ")
            )
        following = chunks[-1].first + chunks[-1].lines
    return found


async def complete(store: Store, brief: Brief, job: Soaked) -> bool:
    """Whether the newest invocation's log has all that the job has said."""
    return await numbers(store, brief.id, brief.claim) == [*range(job.lines)]
