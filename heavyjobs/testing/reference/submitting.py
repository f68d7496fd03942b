"""Jobs go in: each once, whatever is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from heavyjobs.model import ClaimKey, JobRecord, JobState
from heavyjobs.store.limits import check_jobs
from heavyjobs.store.records import NewJob, Submitted, Topic
from heavyjobs.store.refusals import no_more_children
from heavyjobs.testing.reference.tables import Job, Tables


def submit(tables: Tables, jobs: Sequence[NewJob], now: datetime, *, parent_claim: int = 0) -> list[Submitted]:
    check_jobs(jobs)
    keys = {(job.record.kind, job.record.unique_key): job.record for job in tables.jobs.values() if job.live}
    children = {(job.record.parent, job.record.child_key): job.record for job in tables.jobs.values()}
    answers = list[Submitted]()
    for place, new in enumerate(jobs):
        found = _owner(new, tables, children, keys)
        if found is None:
            # A microsecond apart, so that jobs of one call line up in its order.
            record = _record(new, now + timedelta(microseconds=place))
            tables.put(Job(record=record, parent_claim=parent_claim))
            keys[record.kind, record.unique_key] = children[record.parent, record.child_key] = record
            tables.wake(Topic.READY)
        kept = found or new
        answers.append(Submitted(kept.id, created=found is None, kind=kept.kind, parameters=kept.parameters))
    return answers


def spawn(tables: Tables, session: UUID, claim: ClaimKey, children: Sequence[NewJob], now: datetime) -> list[Submitted]:
    check_jobs(children)
    parent = tables.jobs.get(claim.job)
    if parent is None or parent.claim != claim or not parent.held_by(session) or parent.record.cancel_requested_at is not None:
        raise no_more_children(claim)
    keys = {child.child_key for child in children}
    for job in sorted(tables.jobs.values(), key=lambda job: job.record.id):
        if job.record.parent == claim.job and job.record.child_key in keys and job.parent_claim < claim.number:
            _spawn_again(tables, job, claim, now)
    return submit(tables, children, now, parent_claim=claim.number)


def send_again(job: Job, now: datetime) -> Job:
    """A dead or cancelled job in its next epoch, with a fresh budget; its checkpoint stays."""
    again = job.moved(
        JobState.READY,
        now,
        epoch=job.record.epoch + 1,
        attempt=0,
        cancel_requested_at=None,
        result=None,
        error=None,
        cause=None,
    )
    return replace(again, unstarted=0, cancel_grace_seconds=None)


def key_is_taken(tables: Tables, job: JobRecord) -> bool:
    """Whether a live job has the unique key."""
    return job.unique_key is not None and any(
        other.live and (other.record.kind, other.record.unique_key) == (job.kind, job.unique_key)
        for other in tables.jobs.values()
    )


def _spawn_again(tables: Tables, child: Job, claim: ClaimKey, now: datetime) -> None:
    """A child of an earlier claim that fell is sent again; from now on it falls in this one."""
    if child.record.state is JobState.SUCCEEDED:
        return
    if not child.live and not key_is_taken(tables, child.record):
        child = send_again(child, now)
        tables.wake(Topic.READY, Topic.JOBS)
    tables.put(replace(child, parent_claim=claim.number))


def _owner(
    new: NewJob,
    tables: Tables,
    children: dict[tuple[UUID | None, str | None], JobRecord],
    keys: dict[tuple[str, str | None], JobRecord],
) -> JobRecord | None:
    """Who is there already: the job itself, the parent's child of that key, or the live job that has the unique key."""
    if new.id in tables.jobs:
        return tables.jobs[new.id].record
    if new.parent is not None and new.child_key is not None and (new.parent, new.child_key) in children:
        return children[new.parent, new.child_key]
    return None if new.unique_key is None else keys.get((new.kind, new.unique_key))


def _record(new: NewJob, now: datetime) -> JobRecord:
    waits = new.delay_seconds > 0
    return JobRecord(
        id=new.id,
        kind=new.kind,
        version=new.version,
        state=JobState.SCHEDULED if waits else JobState.READY,
        parameters=new.parameters,
        policy=new.policy,
        epoch=1,
        attempt=0,
        claim=0,
        created_at=now,
        due_at=now + timedelta(seconds=new.delay_seconds) if waits else None,
        ready_at=None if waits else now,
        unique_key=new.unique_key,
        parent=new.parent,
        child_key=new.child_key,
        depth=new.depth,
    )
