"""Read the log of a job over all its invocations, in order, from any line."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final
from uuid import UUID

from heavyjobs.logs import decode_chunk
from heavyjobs.model import LogLine
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Brief

CHUNKS_PER_READ: Final = 16
"""At most 1 MiB at a time."""


async def lines(store: Store, job: UUID, *, claim: int, first: int) -> AsyncGenerator[LogLine, None]:
    """All stored lines of one invocation from line `first` on."""
    while chunks := await store.logs(job, claim=claim, first=first, limit_chunks=CHUNKS_PER_READ):
        for chunk in chunks:
            for line in decode_chunk(claim, chunk.first, chunk.data):
                if line.number >= first:
                    yield line
            first = max(first, chunk.first + chunk.lines)
            await asyncio.sleep(0)  # a long log is read without holding up the event loop


async def older_lines(store: Store, brief: Brief, *, claim: int, first: int) -> AsyncGenerator[LogLine, None]:
    """The rest of invocation `claim` from line `first` on, then all others before the newest.

    They are closed, and so are their logs.
    """
    if claim >= brief.claim:
        return
    for invocation in await store.invocations(brief.id):
        number = invocation.claim.number
        start = first if number == claim else 0
        if claim <= number < brief.claim and start < invocation.log_lines:
            async for line in lines(store, brief.id, claim=number, first=start):
                yield line


async def last_lines(store: Store, job: UUID, *, most: int) -> tuple[str, ...]:
    """The text of the last lines of the newest invocation."""
    brief = (await store.briefs([job])).get(job)
    if brief is None or not brief.log_lines:
        return ()
    tail = deque[str](maxlen=most)
    async for line in lines(store, job, claim=brief.claim, first=max(0, brief.log_lines - most)):
        tail.append(line.text)
    return tuple(tail)
