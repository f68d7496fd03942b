"""Jobs are changed from outside: sent again when they have ended, adjusted while they have not."""

from __future__ import annotations

import sqlite3
from uuid import UUID

from heavyjobs.errors import JobNotFound, WrongState
from heavyjobs.model import JobRecord, JobState, short_id
from heavyjobs.store.protocol import Changes, Topic
from heavyjobs.store.sqlite import rows
from heavyjobs.store.sqlite.reading import get_many
from heavyjobs.store.sqlite.sql import SQL
from heavyjobs.store.sqlite.wakeups import wake


def retry(connection: sqlite3.Connection, job: UUID, *, fresh: bool) -> JobRecord:
    record = _existing(connection, job)
    if record.state not in {JobState.DEAD, JobState.CANCELLED}:
        raise WrongState(f"job {short_id(job)} is {record.state}; only a dead or cancelled job can be sent again")
    owner = connection.execute(SQL["live_owner"], {"kind": record.kind, "unique_key": record.unique_key}).fetchone()
    if owner is not None:
        raise WrongState(
            f"job {short_id(job)}: its unique key {record.unique_key!r} now belongs to job "
            f"{short_id(UUID(bytes=owner['id']))}; cancel that one first, or let it end"
        )
    connection.execute(SQL["retry"], {"job": job.bytes, "fresh": fresh, "now": rows.now()})
    wake(connection, Topic.READY, Topic.JOBS)
    return _existing(connection, job)


def update(connection: sqlite3.Connection, job: UUID, changes: Changes) -> JobRecord:
    delay = changes.delay_seconds
    changed = connection.execute(
        SQL["update_job"],
        {
            "job": job.bytes,
            "queue": changes.queue,
            "priority": changes.priority,
            "attempts": changes.attempts,
            "timeout_seconds": changes.timeout_seconds,
            "memory_bytes": changes.memory_bytes,
            "cpus": changes.cpus,
            "delay": None if delay is None else rows.microseconds(delay),
            "now": rows.now(),
        },
    ).rowcount
    record = _existing(connection, job)
    if not changed:
        what = "it runs, so its time cannot be changed" if record.state is JobState.RUNNING else "it has ended"
        raise WrongState(f"job {short_id(job)} is {record.state}: {what}; nothing was changed")
    wake(connection, Topic.READY, Topic.JOBS)
    return record


def _existing(connection: sqlite3.Connection, job: UUID) -> JobRecord:
    record = get_many(connection, [job]).get(job)
    if record is None:
        raise JobNotFound(f"no job {job}; it was never submitted, or it was pruned")
    return record
