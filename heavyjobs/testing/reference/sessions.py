"""Sessions give their word, and are declared dead by others when they do not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from heavyjobs.model import ClaimKey, CoordinatorRecord, Ending, Session, after
from heavyjobs.store.records import CancelOrder, SessionSeen, Tick, Topic
from heavyjobs.store.refusals import gone_silent
from heavyjobs.testing.reference.recording import Closing, close
from heavyjobs.testing.reference.tables import Job, Tables


def register(tables: Tables, session: Session, now: datetime) -> None:
    told = replace(session, queues=dict(session.queues), kinds=dict(session.kinds), problems=tuple(session.problems))
    known = tables.sessions.get(session.id)
    if known is None:
        tables.sessions[session.id] = CoordinatorRecord(told, 0, now, now, None, None, None, 0)
        return
    again = replace(known.session, queues=told.queues, kinds=told.kinds, problems=told.problems)
    tables.sessions[session.id] = replace(known, session=again)


def tick(tables: Tables, session: UUID, held: Collection[ClaimKey], now: datetime) -> Tick:
    tables.make_sure_of(session)
    record = replace(tables.sessions[session], tick=tables.sessions[session].tick + 1, ticked_at=now)
    tables.sessions[session] = record
    holding = {claim: tables.jobs[claim.job] for claim in held if tables.open_invocation(session, claim)}
    return Tick(
        number=record.tick,
        drain=record.drain_requested_at is not None,
        lost=tuple(claim for claim in held if claim not in holding),
        cancels=tuple(
            CancelOrder(claim, job.cancel_grace_seconds)
            for claim, job in holding.items()
            if job.record.cancel_requested_at is not None
        ),
        others=tuple(
            _seen(other) for each, other in sorted(tables.sessions.items()) if each != session and tables.unfenced(each)
        ),
    )


def forfeit(tables: Tables, observer: UUID, now: datetime, *, session: UUID, tick: int, jitter: float) -> list[ClaimKey] | None:
    tables.make_sure_of(observer)
    if not tables.unfenced(session) or tables.sessions[session].tick != tick:
        return None
    silent = replace(tables.sessions[session], fenced_at=now)
    tables.sessions[session] = silent
    closings = [_forfeited(tables, job, silent.session, jitter=jitter) for job in tables.held(session)]
    close(tables, closings, now)
    tables.wake(Topic.CONTROL)
    return [closing.claim for closing in closings]


def end_session(tables: Tables, session: UUID, now: datetime) -> None:
    if tables.unfenced(session) and not tables.held(session):
        tables.sessions[session] = replace(tables.sessions[session], ended_at=now)


def drain(tables: Tables, sessions: Collection[UUID], now: datetime) -> None:
    for session in sessions:
        found = tables.sessions.get(session)
        if found is not None and found.ended_at is None:
            tables.sessions[session] = replace(found, drain_requested_at=found.drain_requested_at or now)
    tables.wake(Topic.CONTROL)


def coordinators(tables: Tables, *, ended: bool) -> list[CoordinatorRecord]:
    shown = [
        replace(record, running=len(tables.held(session)))
        for session, record in tables.sessions.items()
        if ended or tables.unfenced(session)
    ]
    return sorted(shown, key=lambda record: (record.started_at, record.session.id), reverse=True)


def _forfeited(tables: Tables, job: Job, silent: Session, *, jitter: float) -> Closing:
    invocation = tables.invocations[job.claim]
    move = after(
        Ending.FORFEITED,
        started=invocation.started_at is not None,
        attempt=invocation.attempt,
        unstarted=job.unstarted,
        policy=job.record.policy,
        jitter=jitter,
    )
    return Closing(claim=job.claim, ending=Ending.FORFEITED, move=move, cause=gone_silent(silent.name, silent.host))


def _seen(record: CoordinatorRecord) -> SessionSeen:
    session = record.session
    return SessionSeen(session.id, record.tick, session.name, session.host, session.boot_id, session.pid, session.pid_started)
