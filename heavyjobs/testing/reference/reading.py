"""Jobs, invocations and logs are read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from uuid import UUID

from heavyjobs.model import ClaimKey, InvocationRecord, JobRecord
from heavyjobs.store.limits import check_filter
from heavyjobs.store.records import Brief, Filter, LogChunk
from heavyjobs.testing.reference.tables import Job, Tables


def get_many(tables: Tables, jobs: Collection[UUID]) -> dict[UUID, JobRecord]:
    return {job: tables.jobs[job].record for job in jobs if job in tables.jobs}


def find(tables: Tables, tail: str, *, limit: int) -> list[UUID]:
    digits = tail.replace("-", "").lower()
    if not re.fullmatch("[0-9a-f]{0,32}", digits):
        return []
    return sorted((job for job in tables.jobs if job.hex.endswith(digits)), reverse=True)[:limit]


def list_jobs(tables: Tables, which: Filter) -> list[JobRecord]:
    check_filter(which)
    return sorted(_matching(tables, which), key=lambda record: record.id, reverse=True)[: which.limit]


def briefs(tables: Tables, jobs: Collection[UUID]) -> dict[UUID, Brief]:
    return {job: _brief(tables, tables.jobs[job]) for job in jobs if job in tables.jobs}


def invocations(tables: Tables, job: UUID) -> list[InvocationRecord]:
    found = (record for claim, record in tables.invocations.items() if claim.job == job)
    return sorted(found, key=lambda record: record.claim)


def logs(tables: Tables, claim: ClaimKey, *, first: int, limit_chunks: int) -> list[LogChunk]:
    return [chunk for chunk in tables.logs.get(claim, ()) if chunk.first + chunk.lines > first][:limit_chunks]


def log_rows(tables: Tables, claim: ClaimKey, *, first: int, limit_rows: int) -> list[tuple[int, int]]:
    return [(chunk.first, chunk.lines) for chunk in tables.logs.get(claim, ()) if chunk.first >= first][:limit_rows]


def _matching(tables: Tables, which: Filter) -> Iterator[JobRecord]:
    for job in tables.jobs.values():
        record = job.record
        if (
            (not which.states or record.state in which.states)
            and (not which.kinds or record.kind in which.kinds)
            and (not which.queues or record.policy.queue in which.queues)
            and (which.parent is None or record.parent == which.parent)
            and (which.before is None or record.id < which.before)
        ):
            yield record


def _brief(tables: Tables, job: Job) -> Brief:
    record, newest = job.record, tables.invocations.get(job.claim)
    return Brief(
        id=record.id,
        state=record.state,
        epoch=record.epoch,
        claim=record.claim,
        attempt=record.attempt,
        log_lines=0 if newest is None else newest.log_lines,
        status=None if newest is None else newest.status,
    )
