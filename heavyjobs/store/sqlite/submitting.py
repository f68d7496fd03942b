"""Jobs go in: once each, whatever is repeated."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from uuid import UUID

import orjson

from heavyjobs.errors import UsageError
from heavyjobs.model import ClaimKey
from heavyjobs.store.limits import check_jobs
from heavyjobs.store.records import NewJob, Submitted, Topic
from heavyjobs.store.refusals import no_more_children
from heavyjobs.store.sqlite.rows import microseconds, now
from heavyjobs.store.sqlite.sql import SQL
from heavyjobs.store.sqlite.wakeups import wake

_REMEDY: Final = (
    "pass the sqlite3.Connection that your transaction is on (of SQLAlchemy: connection.connection.dbapi_connection)"
)


def submit(connection: sqlite3.Connection, jobs: Sequence[NewJob], *, parent_claim: int | None = None) -> Sequence[Submitted]:
    check_jobs(jobs)
    # A cursor of our own, because the caller's connection may make other rows than ours does.
    with closing(connection.cursor()) as cursor:
        cursor.row_factory = sqlite3.Row
        start = now()
        # One microsecond apart, so that jobs of one call line up in its order.
        answers = [_insert(cursor, job, now=start + place, parent_claim=parent_claim) for place, job in enumerate(jobs)]
    if any(answer.created for answer in answers):
        wake(connection, Topic.READY)
    return answers


def spawn(connection: sqlite3.Connection, session: UUID, claim: ClaimKey, children: Sequence[NewJob]) -> Sequence[Submitted]:
    """See `Store.spawn`."""
    check_jobs(children)
    parent = {"parent": claim.job.bytes, "claim": claim.number}
    if connection.execute(SQL["parent_held"], {**parent, "session": session.bytes}).fetchone() is None:
        raise no_more_children(claim)
    keys = orjson.dumps([child.child_key for child in children]).decode()
    if connection.execute(SQL["send_again"], {**parent, "child_keys": keys, "now": now()}).rowcount:
        wake(connection, Topic.READY, Topic.JOBS)
    connection.execute(SQL["note_spawn"], {**parent, "child_keys": keys})
    return submit(connection, children, parent_claim=claim.number)


def own_connection(connection: object, path: Path, *, where: str) -> sqlite3.Connection:
    """The caller's connection, made sure of.

    Raises:
        UsageError: it is none, or on another database; says which would do.
    """
    if not isinstance(connection, sqlite3.Connection):
        raise UsageError(f"{where}: {type(connection).__qualname__} is no connection of this database; {_REMEDY}")
    with closing(connection.execute("PRAGMA database_list")) as cursor:
        files = [Path(file) for _, name, file in cursor if name == "main" and file]
    if not files or not files[0].exists() or not files[0].samefile(path):
        found = files[0] if files else "a database in memory"
        raise UsageError(f"{where}: the connection is on {found}, the jobs are in {path}; {_REMEDY}")
    return connection


def _insert(cursor: sqlite3.Cursor, job: NewJob, *, now: int, parent_claim: int | None) -> Submitted:
    cursor.execute(SQL["submit"], _parameters(job, now=now, parent_claim=parent_claim))
    if cursor.rowcount == 1:
        return Submitted(job.id, created=True, kind=job.kind, parameters=job.parameters)
    row = (
        cursor.execute(SQL["submitted"], {"id": job.id.bytes}).fetchone()
        or cursor.execute(
            SQL["child_owner"], {"parent": job.parent and job.parent.bytes, "child_key": job.child_key}
        ).fetchone()
        or cursor.execute(SQL["live_owner"], {"kind": job.kind, "unique_key": job.unique_key}).fetchone()
    )
    return Submitted(UUID(bytes=row["id"]), created=False, kind=row["kind"], parameters=row["parameters"])


def _parameters(job: NewJob, *, now: int, parent_claim: int | None) -> dict[str, object]:
    policy = job.policy
    return {
        "id": job.id.bytes,
        "kind": job.kind,
        "version": job.version,
        "queue": policy.queue,
        "priority": policy.priority,
        "attempts": policy.attempts,
        "backoff_seconds": policy.backoff_seconds,
        "backoff_max_seconds": policy.backoff_max_seconds,
        "timeout_seconds": policy.timeout_seconds,
        "grace_seconds": policy.grace_seconds,
        "cpus": policy.cpus,
        "memory_bytes": policy.memory_bytes,
        "now": now,
        "delay": microseconds(job.delay_seconds),
        "unique_key": job.unique_key,
        "parent": job.parent and job.parent.bytes,
        "child_key": job.child_key,
        "parent_claim": parent_claim,
        "depth": job.depth,
        "parameters": job.parameters,
    }
