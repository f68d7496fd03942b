"""Jobs are changed from outside: sent again when they have ended, adjusted while they have not."""

from __future__ import annotations

import sqlite3
from uuid import UUID

from heavyjobs.model import JobRecord, JobState
from heavyjobs.store.limits import check_changes
from heavyjobs.store.records import Changes, Topic
from heavyjobs.store.refusals import key_taken, not_changed, not_sent_again
from heavyjobs.store.sqlite import rows
from heavyjobs.store.sqlite.reading import get_many
from heavyjobs.store.sqlite.sql import SQL
from heavyjobs.store.sqlite.wakeups import wake
from heavyjobs.store.watching import not_found


def retry(connection: sqlite3.Connection, job: UUID, *, fresh: bool) -> JobRecord:
    record = _existing(connection, job)
    if record.state not in {JobState.DEAD, JobState.CANCELLED}:
        raise not_sent_again(record)
    owner = connection.execute(SQL["live_owner"], {"kind": record.kind, "unique_key": record.unique_key}).fetchone()
    if owner is not None:
        raise key_taken(record)
    connection.execute(SQL["retry"], {"job": job.bytes, "fresh": fresh, "now": rows.now()})
    wake(connection, Topic.READY, Topic.JOBS)
    return _existing(connection, job)


def update(connection: sqlite3.Connection, job: UUID, changes: Changes) -> JobRecord:
    check_changes(changes)
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
        raise not_changed(record)
    wake(connection, Topic.READY, Topic.JOBS)
    return record


def _existing(connection: sqlite3.Connection, job: UUID) -> JobRecord:
    record = get_many(connection, [job]).get(job)
    if record is None:
        raise not_found(job)
    return record
