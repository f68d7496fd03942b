"""Jobs, invocations and logs are read."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import orjson

from heavyjobs.model import InvocationRecord, JobRecord
from heavyjobs.store.limits import check_filter
from heavyjobs.store.records import Brief, Filter, LogChunk
from heavyjobs.store.sqlite import rows
from heavyjobs.store.sqlite.sql import SQL

_PAST_THE_NEWEST: Final = b"\xff" * 17
"""Sorts after every id."""


def get_many(connection: sqlite3.Connection, jobs: Collection[UUID]) -> dict[UUID, JobRecord]:
    found = connection.execute(SQL["jobs"], {"jobs": rows.ids_text(jobs)})
    return {record.id: record for record in map(rows.job_record, found)}


def find(connection: sqlite3.Connection, tail: str, *, limit: int) -> Sequence[UUID]:
    digits = tail.replace("-", "").lower()
    if not re.fullmatch("[0-9a-f]{0,32}", digits):
        return []
    if len(digits) == 32:  # a whole id needs no search
        return [job for job in get_many(connection, [UUID(digits)]) if limit > 0]
    return [UUID(bytes=row["id"]) for row in connection.execute(SQL["find"], {"tail": digits, "limit": limit})]


def list_jobs(connection: sqlite3.Connection, which: Filter) -> Sequence[JobRecord]:
    check_filter(which)
    found = connection.execute(
        SQL["list" if which.parent is None else "list_children"],
        {
            "before": _PAST_THE_NEWEST if which.before is None else which.before.bytes,
            "parent": which.parent and which.parent.bytes,
            "states": _json(which.states),
            "kinds": _json(which.kinds),
            "queues": _json(which.queues),
            "limit": which.limit,
        },
    )
    return [rows.job_record(row) for row in found]


def briefs(connection: sqlite3.Connection, jobs: Collection[UUID]) -> dict[UUID, Brief]:
    found = connection.execute(SQL["briefs"], {"jobs": rows.ids_text(jobs)})
    return {brief.id: brief for brief in map(rows.brief, found)}


def invocations(connection: sqlite3.Connection, job: UUID) -> Sequence[InvocationRecord]:
    return [rows.invocation_record(row) for row in connection.execute(SQL["invocations"], {"job": job.bytes})]


def logs(connection: sqlite3.Connection, job: UUID, *, claim: int, first: int, limit_chunks: int) -> Sequence[LogChunk]:
    found = connection.execute(SQL["logs"], {"job": job.bytes, "claim": claim, "first": first, "limit": limit_chunks})
    return [rows.log_chunk(row) for row in found]


def log_rows(
    connection: sqlite3.Connection, job: UUID, *, claim: int, first: int, limit_rows: int
) -> Sequence[tuple[int, int]]:
    found = connection.execute(SQL["log_rows"], {"job": job.bytes, "claim": claim, "first": first, "limit": limit_rows})
    return [(row["first"], row["lines"]) for row in found]


def _json(texts: Collection[str]) -> str:
    return orjson.dumps([str(text) for text in texts]).decode()
