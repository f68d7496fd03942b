"""All that can be read from a store at one moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from heavyjobs.model import ClaimKey, CoordinatorRecord, InvocationRecord, JobRecord
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Brief, Claimed, Filter, LogChunk

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Picture:
    """What a store shows at one moment."""

    jobs: Mapping[UUID, JobRecord]
    briefs: Mapping[UUID, Brief]
    invocations: Mapping[UUID, Sequence[InvocationRecord]]
    logs: Mapping[ClaimKey, Sequence[LogChunk]]
    sessions: Mapping[UUID, CoordinatorRecord]
    held: Mapping[UUID, Mapping[ClaimKey, Claimed]]


BLANK: Final = Picture({}, {}, {}, {}, {}, {})


async def taken(store: Store, *, earlier: Picture = BLANK, touched: Collection[UUID] = ()) -> Picture:
    """What the store shows now; runs and logs are read anew only of jobs that have changed since `earlier`, or were touched."""
    listed, records = await asyncio.gather(store.list(Filter(limit=1000)), store.coordinators(ended=True))
    jobs = {job.id: job for job in listed}
    sessions = {record.session.id: record for record in records}
    briefs, held = await asyncio.gather(store.briefs(jobs), _each(store.held, list(sessions)))
    changed = [
        job
        for job, record in jobs.items()
        if job in touched or record != earlier.jobs.get(job) or briefs.get(job) != earlier.briefs.get(job)
    ]
    read = await _each(store.invocations, [job for job in changed if jobs[job].claim])
    claims = [each.claim for every in read.values() for each in every if each.log_lines or each.ended_at is None]
    logs = await _each(lambda claim: store.logs(claim.job, claim=claim.number, first=0), claims)
    return Picture(
        jobs=jobs,
        briefs=briefs,
        invocations={**earlier.invocations, **read},
        logs={**earlier.logs, **logs},
        sessions=sessions,
        held={session: {one.claim: one for one in every} for session, every in held.items()},
    )


async def _each(read: Callable[[K], Awaitable[V]], keys: Sequence[K]) -> dict[K, V]:
    """What is read of each."""
    return dict(zip(keys, await asyncio.gather(*(read(key) for key in keys)), strict=True))
