"""Jobs come out: promoted when due, claimed when they fit, and held until their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from heavyjobs.model import Bill, ClaimKey, InvocationRecord, JobState
from heavyjobs.store.records import Claimed, Topic, Want
from heavyjobs.store.refusals import claim_lost
from heavyjobs.testing.reference.tables import Job, Tables
from heavyjobs.values import JsonText

_CPUS_TOLERANCE: Final = 1e-9


def promote(tables: Tables, now: datetime, *, limit: int) -> tuple[int, float | None]:
    due = [job for job in _scheduled(tables) if _due_at(job) <= now][:limit]
    for job in due:
        # They line up as of the time they were due.
        tables.put(job.moved(JobState.READY, _due_at(job)))
    if due:
        tables.wake(Topic.READY, Topic.JOBS)
    left = _scheduled(tables)
    return len(due), (_due_at(left[0]) - now).total_seconds() if left else None


def claim(
    tables: Tables,
    session: UUID,
    wants: Sequence[Want],
    now: datetime,
    *,
    cpus: float,
    memory_bytes: int,
    host: str,
    among_equals: Callable[[UUID], int],
) -> list[Claimed]:
    tables.make_sure_of(session)
    rooms = {want.line: want.room for want in wants}
    taken = list[Claimed]()
    for job in sorted(_ready(tables), key=lambda job: (*_order(job), among_equals(job.record.id))):
        policy = job.record.policy
        line = _line(job, wants, rooms)
        if line is None or policy.cpus > cpus + _CPUS_TOLERANCE or (policy.memory_bytes or 0) > memory_bytes:
            continue
        rooms[line] -= 1
        cpus -= policy.cpus
        memory_bytes -= policy.memory_bytes or 0
        taken.append(_take(tables, job, session, now, host=host))
    if taken:
        tables.wake(Topic.JOBS)
    return taken


def held(tables: Tables, session: UUID) -> list[Claimed]:
    return [_claimed(tables, job) for job in tables.held(session)]


def holds(tables: Tables, session: UUID, claim: ClaimKey) -> bool:
    job = tables.jobs.get(claim.job)
    return job is not None and job.claim == claim and job.held_by(session) and tables.unfenced(session)


def checkpoint(tables: Tables, session: UUID, claim: ClaimKey, data: JsonText) -> None:
    if not holds(tables, session, claim):
        raise claim_lost(claim)
    tables.put(replace(tables.jobs[claim.job], checkpoint=data))


def _scheduled(tables: Tables) -> list[Job]:
    jobs = [job for job in tables.jobs.values() if job.record.state is JobState.SCHEDULED]
    return sorted(jobs, key=lambda job: (_due_at(job), job.record.id))


def _due_at(job: Job) -> datetime:
    assert job.record.due_at is not None, "scheduled"
    return job.record.due_at


def _ready(tables: Tables) -> list[Job]:
    return [job for job in tables.jobs.values() if job.record.state is JobState.READY]


def _order(job: Job) -> tuple[int, int, datetime]:
    """Highest priority, then deepest in its family, then oldest."""
    assert job.record.ready_at is not None, "ready"
    return -job.record.policy.priority, -job.record.depth, job.record.ready_at


def _line(job: Job, wants: Sequence[Want], rooms: Mapping[str, int]) -> str | None:
    """The line with room that wants the job; of several the one for deeper jobs, which can take no others."""
    record = job.record
    lines = [
        (-want.depth_min, place, want.line)
        for place, want in enumerate(wants)
        if rooms[want.line] > 0
        and (want.queue, want.kind) == (record.policy.queue, record.kind)
        and record.version <= want.version
        and record.depth >= want.depth_min
    ]
    return min(lines)[2] if lines else None


def _take(tables: Tables, job: Job, session: UUID, now: datetime, *, host: str) -> Claimed:
    job = job.moved(JobState.RUNNING, now, claim=job.record.claim + 1)
    job = replace(job, session=session, unstarted=job.unstarted + 1)
    tables.put(job)
    tables.invocations[job.claim] = InvocationRecord(
        claim=job.claim,
        epoch=job.record.epoch,
        attempt=job.record.attempt + 1,
        session=session,
        host=host,
        slot="",
        opened_at=now,
        started_at=None,
        ended_at=None,
        ending=None,
        status=None,
        cause=None,
        bill=Bill(),
        log_lines=0,
        log_bytes=0,
        log_dropped_lines=0,
    )
    return _claimed(tables, job)


def _claimed(tables: Tables, job: Job) -> Claimed:
    record = job.record
    return Claimed(
        claim=job.claim,
        epoch=record.epoch,
        attempt=tables.invocations[job.claim].attempt,
        unstarted=job.unstarted,
        kind=record.kind,
        version=record.version,
        parameters=record.parameters,
        policy=record.policy,
        depth=record.depth,
        parent=record.parent,
        checkpoint=job.checkpoint,
    )
