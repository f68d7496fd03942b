"""Jobs and all that they spawned are cancelled together: what waits at once, what runs by a request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from heavyjobs.model import ClaimKey, JobState
from heavyjobs.store.records import CancelAnswer, Topic
from heavyjobs.store.refusals import CANCELLED_WAITING, claim_lost
from heavyjobs.testing.reference.tables import Job, Tables


def cancel(tables: Tables, jobs: Collection[UUID], now: datetime, *, grace_seconds: float | None) -> dict[UUID, CancelAnswer]:
    named = {job: tables.jobs[job] for job in jobs if job in tables.jobs}
    cancel_below(tables, [each for each, job in named.items() if job.live], now, grace_seconds=grace_seconds)
    return {each: _answer(job) for each, job in named.items()}


def cancel_children(tables: Tables, session: UUID, claim: ClaimKey, jobs: Collection[UUID], now: datetime) -> None:
    parent = tables.jobs.get(claim.job)
    if parent is None or parent.claim != claim or not parent.held_by(session):
        raise claim_lost(claim)
    children = [job for job in jobs if job in tables.jobs and tables.jobs[job].record.parent == claim.job]
    cancel(tables, children, now, grace_seconds=None)


def cancel_below(tables: Tables, jobs: Collection[UUID], now: datetime, *, grace_seconds: float | None = None) -> None:
    """Cancel those of `jobs` and of all their descendants that have not ended, whatever lies between."""
    for each in _family(tables, jobs):
        job = tables.jobs[each]
        if not job.live:
            continue
        tables.wake(Topic.JOBS)
        if job.record.state is JobState.RUNNING:
            tables.put(_asked(job, now, grace_seconds=grace_seconds))
            tables.wake(Topic.CONTROL)
        else:
            tables.put(job.moved(JobState.CANCELLED, now, cause=CANCELLED_WAITING))


def _asked(job: Job, now: datetime, *, grace_seconds: float | None) -> Job:
    """The first request counts, the newest grace holds."""
    asked = job.changed(cancel_requested_at=job.record.cancel_requested_at or now)
    return asked if grace_seconds is None else replace(asked, cancel_grace_seconds=grace_seconds)


def _family(tables: Tables, jobs: Collection[UUID]) -> list[UUID]:
    """The jobs and all below them."""
    if not jobs:
        return []
    children: dict[UUID, list[UUID]] = {}
    for job in tables.jobs.values():
        if job.record.parent is not None:
            children.setdefault(job.record.parent, []).append(job.record.id)
    family = dict.fromkeys(jobs)
    ahead = list(family)
    while ahead:
        below = [child for child in children.get(ahead.pop(), []) if child not in family]
        family.update(dict.fromkeys(below))
        ahead.extend(below)
    return list(family)


def _answer(job: Job) -> CancelAnswer:
    if not job.live:
        return CancelAnswer.ENDED
    return CancelAnswer.REQUESTED if job.record.state is JobState.RUNNING else CancelAnswer.CANCELLED
