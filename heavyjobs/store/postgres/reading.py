"""Looking, without changing anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from psycopg.rows import args_row, kwargs_row, scalar_row

from heavyjobs.model import ClaimKey, CoordinatorRecord, InvocationRecord, JobRecord
from heavyjobs.store.limits import check_filter
from heavyjobs.store.postgres.rows import brief, coordinator_record, invocation_record, job_record
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.store.records import Brief, Filter, LogChunk

_AFTER_ALL: Final = UUID(int=(1 << 128) - 1)
_DIGITS: Final = frozenset("0123456789abcdef")


async def get_many(talk: Talk, jobs: Collection[UUID]) -> dict[UUID, JobRecord]:
    records = await talk.rows("jobs", kwargs_row(job_record), jobs=list(jobs))
    return {record.id: record for record in records}


async def find(talk: Talk, tail: str, *, limit: int) -> Sequence[UUID]:
    digits = tail.replace("-", "").lower()
    if not digits or not _DIGITS.issuperset(digits):
        return []
    ids: list[UUID] = await talk.rows("find", scalar_row, tail=digits, limit=limit)
    return ids


async def list_jobs(talk: Talk, which: Filter) -> Sequence[JobRecord]:
    check_filter(which)
    values: dict[str, object] = {
        "states": [state.value for state in which.states],
        "kinds": list(which.kinds),
        "queues": list(which.queues),
        "before": which.before or _AFTER_ALL,
        "limit": which.limit,
    }
    if which.parent is None:
        return await talk.rows("list", kwargs_row(job_record), **values)
    return await talk.rows("list_children", kwargs_row(job_record), parent=which.parent, **values)


async def briefs(talk: Talk, jobs: Collection[UUID]) -> dict[UUID, Brief]:
    return {found.id: found for found in await talk.rows("briefs", kwargs_row(brief), jobs=list(jobs))}


async def invocations(talk: Talk, job: UUID) -> Sequence[InvocationRecord]:
    return await talk.rows("invocations", kwargs_row(invocation_record), job=job)


async def logs(talk: Talk, job: UUID, *, claim: int, first: int, limit_chunks: int) -> Sequence[LogChunk]:
    """Up to the first gap: what comes after one would be read as if nothing were missing."""

    def chunk(first: int, lines: int, data: str) -> LogChunk:
        return LogChunk(claim=ClaimKey(job, claim), first=first, lines=lines, data=data)

    found = await talk.rows("logs", args_row(chunk), job=job, claim=claim, first=first, limit=limit_chunks)
    chunks: list[LogChunk] = []
    expected = first
    for one in found:
        if one.first > expected:
            break
        chunks.append(one)
        expected = one.first + one.lines
    return chunks


async def log_rows(talk: Talk, job: UUID, *, claim: int, first: int, limit_rows: int) -> Sequence[tuple[int, int]]:
    def row(first: int, lines: int) -> tuple[int, int]:
        return first, lines

    return await talk.rows("log_rows", args_row(row), job=job, claim=claim, first=first, limit=limit_rows)


async def coordinators(talk: Talk, *, ended: bool) -> Sequence[CoordinatorRecord]:
    return await talk.rows("coordinators", kwargs_row(coordinator_record), ended=ended)
