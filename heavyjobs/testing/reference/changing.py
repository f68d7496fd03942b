"""Jobs are changed from outside: sent again when they have ended, adjusted while they have not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from heavyjobs.model import JobRecord, JobState, Policy
from heavyjobs.store.limits import check_changes
from heavyjobs.store.records import Changes, Topic
from heavyjobs.store.refusals import key_taken, not_changed, not_sent_again
from heavyjobs.store.watching import not_found
from heavyjobs.testing.reference.submitting import key_is_taken, send_again
from heavyjobs.testing.reference.tables import Job, Tables


def retry(tables: Tables, job: UUID, now: datetime, *, fresh: bool) -> JobRecord:
    found = _existing(tables, job)
    if found.record.state not in {JobState.DEAD, JobState.CANCELLED}:
        raise not_sent_again(found.record)
    if key_is_taken(tables, found.record):
        raise key_taken(found.record)
    again = send_again(found, now)
    tables.put(replace(again, checkpoint=None) if fresh else again)
    tables.wake(Topic.READY, Topic.JOBS)
    return again.record


def update(tables: Tables, job: UUID, changes: Changes, now: datetime) -> JobRecord:
    check_changes(changes)
    found = _existing(tables, job)
    if not found.live or (found.record.state is JobState.RUNNING and changes.delay_seconds is not None):
        raise not_changed(found.record)
    changed = found.changed(policy=_policy(found.record.policy, changes))
    if changes.delay_seconds is not None:
        changed = _delayed(changed, changes.delay_seconds, now)
    tables.put(changed)
    tables.wake(Topic.READY, Topic.JOBS)
    return changed.record


def _existing(tables: Tables, job: UUID) -> Job:
    if job not in tables.jobs:
        raise not_found(job)
    return tables.jobs[job]


def _policy(policy: Policy, changes: Changes) -> Policy:
    return replace(
        policy,
        queue=policy.queue if changes.queue is None else changes.queue,
        priority=policy.priority if changes.priority is None else changes.priority,
        attempts=policy.attempts if changes.attempts is None else changes.attempts,
        timeout_seconds=policy.timeout_seconds if changes.timeout_seconds is None else changes.timeout_seconds,
        memory_bytes=policy.memory_bytes if changes.memory_bytes is None else changes.memory_bytes,
        cpus=policy.cpus if changes.cpus is None else changes.cpus,
    )


def _delayed(job: Job, seconds: float, now: datetime) -> Job:
    """A job that waits, put off or brought forward; ready now leaves a ready job where it stands in line."""
    if seconds > 0:
        due_at = now + timedelta(seconds=seconds)
        if job.record.state is JobState.READY:
            return job.moved(JobState.SCHEDULED, now, due_at=due_at)
        return job.changed(due_at=due_at)
    return job if job.record.state is JobState.READY else job.moved(JobState.READY, now)
