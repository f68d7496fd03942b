"""A row becomes a record: the parameters are the columns of the statements."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from heavyjobs.model import (
    Bill,
    ClaimKey,
    CoordinatorRecord,
    Ending,
    InvocationRecord,
    JobRecord,
    JobState,
    Policy,
    Session,
)
from heavyjobs.store.causes import cause_of
from heavyjobs.store.records import Brief, Claimed, SessionSeen
from heavyjobs.values import JsonText, decode


def claimed(
    *,
    job: UUID | None,
    claim: int,
    epoch: int,
    attempt: int,
    unstarted: int,
    kind: str,
    version: int,
    parameters: JsonText,
    queue: str,
    priority: int,
    attempts: int,
    backoff_seconds: float,
    backoff_max_seconds: float,
    timeout_seconds: float | None,
    grace_seconds: float,
    cpus: float,
    memory_bytes: int | None,
    depth: int,
    parent: UUID | None,
    checkpoint: JsonText | None,
) -> Claimed | None:
    """A job that is held; None from the row of NULLs that says that nothing was claimed."""
    if job is None:
        return None
    return Claimed(
        claim=ClaimKey(job, claim),
        epoch=epoch,
        attempt=attempt,
        unstarted=unstarted,
        kind=kind,
        version=version,
        parameters=parameters,
        policy=Policy(
            queue, priority, attempts, backoff_seconds, backoff_max_seconds, timeout_seconds, grace_seconds, cpus, memory_bytes
        ),
        depth=depth,
        parent=parent,
        checkpoint=checkpoint,
    )


def job_record(
    *,
    job: UUID,
    kind: str,
    version: int,
    state: str,
    parameters: JsonText,
    queue: str,
    priority: int,
    attempts: int,
    backoff_seconds: float,
    backoff_max_seconds: float,
    timeout_seconds: float | None,
    grace_seconds: float,
    cpus: float,
    memory_bytes: int | None,
    epoch: int,
    attempt: int,
    claim: int,
    created_at: datetime,
    due_at: datetime | None,
    ready_at: datetime | None,
    finished_at: datetime | None,
    cancel_requested_at: datetime | None,
    unique_key: str | None,
    parent: UUID | None,
    child_key: str | None,
    depth: int,
    result: JsonText | None,
    error: JsonText | None,
    cause: str | None,
) -> JobRecord:
    return JobRecord(
        id=job,
        kind=kind,
        version=version,
        state=JobState(state),
        parameters=parameters,
        policy=Policy(
            queue, priority, attempts, backoff_seconds, backoff_max_seconds, timeout_seconds, grace_seconds, cpus, memory_bytes
        ),
        epoch=epoch,
        attempt=attempt,
        claim=claim,
        created_at=created_at.astimezone(UTC),
        due_at=_utc(due_at),
        ready_at=_utc(ready_at),
        finished_at=_utc(finished_at),
        cancel_requested_at=_utc(cancel_requested_at),
        unique_key=unique_key,
        parent=parent,
        child_key=child_key,
        depth=depth,
        result=result,
        error=error,
        cause=cause_of(cause),
    )


def invocation_record(
    *,
    job: UUID,
    claim: int,
    epoch: int,
    attempt: int,
    session: UUID,
    host: str,
    slot: str,
    opened_at: datetime,
    started_at: datetime | None,
    ended_at: datetime | None,
    ending: str | None,
    status: JsonText | None,
    cause: str | None,
    wall_seconds: float,
    cpu_seconds: float,
    memory_peak_bytes: int,
    read_bytes: int,
    written_bytes: int,
    log_lines: int,
    log_bytes: int,
    log_dropped_lines: int,
) -> InvocationRecord:
    return InvocationRecord(
        claim=ClaimKey(job, claim),
        epoch=epoch,
        attempt=attempt,
        session=session,
        host=host,
        slot=slot,
        opened_at=opened_at.astimezone(UTC),
        started_at=_utc(started_at),
        ended_at=_utc(ended_at),
        ending=None if ending is None else Ending(ending),
        status=status,
        cause=cause_of(cause),
        bill=Bill(wall_seconds, cpu_seconds, memory_peak_bytes, read_bytes, written_bytes),
        log_lines=log_lines,
        log_bytes=log_bytes,
        log_dropped_lines=log_dropped_lines,
    )


def brief(*, job: UUID, state: str, epoch: int, claim: int, attempt: int, log_lines: int, status: JsonText | None) -> Brief:
    return Brief(job, JobState(state), epoch, claim, attempt, log_lines, status)


def coordinator_record(
    *,
    session: UUID,
    name: str,
    host: str,
    boot_id: str,
    pid: int,
    pid_started: float,
    release: str,
    queues: str,
    kinds: str,
    problems: str,
    tick: int,
    started_at: datetime,
    ticked_at: datetime,
    drain_requested_at: datetime | None,
    ended_at: datetime | None,
    fenced_at: datetime | None,
    running: int,
) -> CoordinatorRecord:
    return CoordinatorRecord(
        session=Session(
            session, name, host, boot_id, pid, pid_started, release, decode(queues), decode(kinds), tuple(decode(problems))
        ),
        tick=tick,
        started_at=started_at.astimezone(UTC),
        ticked_at=ticked_at.astimezone(UTC),
        drain_requested_at=_utc(drain_requested_at),
        ended_at=_utc(ended_at),
        fenced_at=_utc(fenced_at),
        running=running,
    )


def session_seen(*, session: UUID, tick: int, name: str, host: str, boot_id: str, pid: int, pid_started: float) -> SessionSeen:
    return SessionSeen(session, tick, name, host, boot_id, pid, pid_started)


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)
