"""Between rows and records: ids are 16 bytes, times are microseconds since 1970, lists of ids are JSON."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from heavyjobs.model import Bill, ClaimKey, CoordinatorRecord, Ending, InvocationRecord, JobRecord, JobState, Policy, Session
from heavyjobs.store.causes import cause_of
from heavyjobs.store.records import Brief, Claimed, LogChunk, SessionSeen
from heavyjobs.values import decode

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


# -- times and ids


def now() -> int:
    """The time, as it is stored."""
    return time.time_ns() // 1000


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def time_of(stored: int) -> datetime:
    return _EPOCH + timedelta(microseconds=stored)


def maybe_time(stored: int | None) -> datetime | None:
    return None if stored is None else time_of(stored)


def maybe_id(stored: bytes | None) -> UUID | None:
    return None if stored is None else UUID(bytes=stored)


def ids_text(ids: Iterable[UUID]) -> str:
    """Ids as a statement's parameter."""
    return orjson.dumps([each.hex for each in ids]).decode()


def claims_text(claims: Iterable[ClaimKey]) -> str:
    """Claims as a statement's parameter."""
    return orjson.dumps([[claim.job.hex, claim.number] for claim in claims]).decode()


# -- records


def policy(row: sqlite3.Row) -> Policy:
    return Policy(
        queue=row["queue"],
        priority=row["priority"],
        attempts=row["attempts"],
        backoff_seconds=row["backoff_seconds"],
        backoff_max_seconds=row["backoff_max_seconds"],
        timeout_seconds=row["timeout_seconds"],
        grace_seconds=row["grace_seconds"],
        cpus=row["cpus"],
        memory_bytes=row["memory_bytes"],
    )


def job_record(row: sqlite3.Row) -> JobRecord:
    return JobRecord(
        id=UUID(bytes=row["id"]),
        kind=row["kind"],
        version=row["version"],
        state=JobState(row["state"]),
        parameters=row["parameters"],
        policy=policy(row),
        epoch=row["epoch"],
        attempt=row["attempt"],
        claim=row["claim"],
        created_at=time_of(row["created_at"]),
        due_at=maybe_time(row["due_at"]),
        ready_at=maybe_time(row["ready_at"]),
        finished_at=maybe_time(row["finished_at"]),
        cancel_requested_at=maybe_time(row["cancel_requested_at"]),
        unique_key=row["unique_key"],
        parent=maybe_id(row["parent"]),
        child_key=row["child_key"],
        depth=row["depth"],
        result=row["result"],
        error=row["error"],
        cause=cause_of(row["cause"]),
    )


def claimed(row: sqlite3.Row) -> Claimed:
    return Claimed(
        claim=ClaimKey(UUID(bytes=row["id"]), row["claim"]),
        epoch=row["epoch"],
        attempt=row["attempt"],
        unstarted=row["unstarted"],
        kind=row["kind"],
        version=row["version"],
        parameters=row["parameters"],
        policy=policy(row),
        depth=row["depth"],
        parent=maybe_id(row["parent"]),
        checkpoint=row["checkpoint"],
    )


def claim_key(row: sqlite3.Row) -> ClaimKey:
    return ClaimKey(UUID(bytes=row["job"]), row["claim"])


def brief(row: sqlite3.Row) -> Brief:
    return Brief(
        id=UUID(bytes=row["id"]),
        state=JobState(row["state"]),
        epoch=row["epoch"],
        claim=row["claim"],
        attempt=row["attempt"],
        log_lines=row["log_lines"],
        status=row["status"],
    )


def invocation_record(row: sqlite3.Row) -> InvocationRecord:
    return InvocationRecord(
        claim=claim_key(row),
        epoch=row["epoch"],
        attempt=row["attempt"],
        session=UUID(bytes=row["session"]),
        host=row["host"],
        slot=row["slot"],
        opened_at=time_of(row["opened_at"]),
        started_at=maybe_time(row["started_at"]),
        ended_at=maybe_time(row["ended_at"]),
        ending=None if row["ending"] is None else Ending(row["ending"]),
        status=row["status"],
        cause=cause_of(row["cause"]),
        bill=Bill(
            wall_seconds=row["wall_seconds"],
            cpu_seconds=row["cpu_seconds"],
            memory_peak_bytes=row["memory_peak_bytes"],
            read_bytes=row["read_bytes"],
            written_bytes=row["written_bytes"],
        ),
        log_lines=row["log_lines"],
        log_bytes=row["log_bytes"],
        log_dropped_lines=row["log_dropped_lines"],
    )


def log_chunk(row: sqlite3.Row) -> LogChunk:
    return LogChunk(claim=claim_key(row), first=row["first"], lines=row["lines"], data=row["data"])


def session_seen(row: sqlite3.Row) -> SessionSeen:
    return SessionSeen(
        id=UUID(bytes=row["session"]),
        tick=row["tick"],
        name=row["name"],
        host=row["host"],
        boot_id=row["boot_id"],
        pid=row["pid"],
        pid_started=row["pid_started"],
    )


def coordinator_record(row: sqlite3.Row) -> CoordinatorRecord:
    return CoordinatorRecord(
        session=Session(
            id=UUID(bytes=row["session"]),
            name=row["name"],
            host=row["host"],
            boot_id=row["boot_id"],
            pid=row["pid"],
            pid_started=row["pid_started"],
            release=row["release"],
            queues=decode(row["queues"]),
            kinds=decode(row["kinds"]),
            problems=tuple(decode(row["problems"])),
        ),
        tick=row["tick"],
        started_at=time_of(row["started_at"]),
        ticked_at=time_of(row["ticked_at"]),
        drain_requested_at=maybe_time(row["drain_requested_at"]),
        ended_at=maybe_time(row["ended_at"]),
        fenced_at=maybe_time(row["fenced_at"]),
        running=row["running"],
    )
