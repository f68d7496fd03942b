"""What invocations did is written down: their news, their logs, their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from heavyjobs.model import Cause, ClaimKey, InvocationRecord, JobState, Move
from heavyjobs.model import Ending as How
from heavyjobs.store.causes import cause_of, cause_text
from heavyjobs.store.records import End, LogChunk, Progress, Recorded, Topic
from heavyjobs.testing.reference.families import cancel_below
from heavyjobs.testing.reference.tables import Tables
from heavyjobs.values import JsonText

_FALLEN: Final = frozenset({JobState.DEAD, JobState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How an open invocation ends; `log_dropped_lines` None leaves the stored number."""

    claim: ClaimKey
    ending: How
    move: Move
    cause: Cause | None
    result: JsonText | None = None
    error: JsonText | None = None
    log_dropped_lines: int | None = None


def record(
    tables: Tables,
    session: UUID,
    now: datetime,
    *,
    progress: Sequence[Progress],
    logs: Sequence[LogChunk],
    ends: Sequence[End],
) -> Recorded:
    tables.make_sure_of(session)
    ending = {end.progress.claim: end for end in ends}
    named = dict.fromkeys([*ending, *(news.claim for news in progress), *(chunk.claim for chunk in logs)])
    held = {claim: None for claim in named if tables.open_invocation(session, claim)}
    earlier = {
        claim: _ended_as(tables, end)
        for claim, end in ending.items()
        if claim not in held and _ended_by(tables, session, claim)
    }
    for news in (*progress, *(end.progress for end in ending.values())):
        if news.claim in held:
            _tell(tables, news, now)
    for chunk in logs:
        if chunk.claim in held:
            _append(tables, chunk)
    closings = [_closing(end) for claim, end in ending.items() if claim in held]
    ended = earlier | close(tables, closings, now)
    if held:
        tables.wake(Topic.JOBS)
    return Recorded(lost=frozenset(named.keys() - held.keys() - ended.keys()), ended=ended)


def close(tables: Tables, closings: Sequence[Closing], now: datetime) -> dict[ClaimKey, JobState]:
    """Close open invocations, move their jobs, and cancel whom the dead and cancelled leave behind; where the jobs went."""
    ended = {closing.claim: _close(tables, closing, now) for closing in closings}
    cancel_below(tables, [claim.job for claim, state in ended.items() if state in _FALLEN], now)
    if ended:
        tables.wake(Topic.JOBS)
    if not all(state.ended for state in ended.values()):
        tables.wake(Topic.READY)
    return ended


def _tell(tables: Tables, news: Progress, now: datetime) -> None:
    invocation, job = tables.invocations[news.claim], tables.jobs[news.claim.job]
    started_at = invocation.started_at
    if started_at is None and news.started_ago_seconds is not None:
        started_at = now - timedelta(seconds=news.started_ago_seconds)
        tables.put(replace(job.changed(attempt=invocation.attempt), unstarted=0))
    tables.invocations[news.claim] = replace(
        invocation,
        slot=news.slot,
        started_at=started_at,
        status=invocation.status if news.status is None else news.status,
        bill=news.bill,
    )


def _append(tables: Tables, chunk: LogChunk) -> None:
    """Add a chunk, unless it is there already."""
    chunks = tables.logs.get(chunk.claim, ())
    if any(stored.first == chunk.first for stored in chunks):
        return
    invocation = tables.invocations[chunk.claim]
    tables.logs[chunk.claim] = tuple(sorted((*chunks, chunk), key=lambda stored: stored.first))
    tables.invocations[chunk.claim] = replace(
        invocation,
        log_lines=max(invocation.log_lines, chunk.first + chunk.lines),
        log_bytes=invocation.log_bytes + len(chunk.data.encode()),
    )


def _close(tables: Tables, closing: Closing, now: datetime) -> JobState:
    """Only success stands in spite of a cancel request."""
    move, cause = closing.move, cause_of(cause_text(closing.cause))
    invocation, job = tables.invocations[closing.claim], tables.jobs[closing.claim.job]
    dropped = invocation.log_dropped_lines if closing.log_dropped_lines is None else closing.log_dropped_lines
    tables.invocations[closing.claim] = replace(
        invocation, ended_at=now, ending=closing.ending, cause=cause, log_dropped_lines=dropped
    )
    cancelled = job.record.cancel_requested_at is not None and move.state is not JobState.SUCCEEDED
    state = JobState.CANCELLED if cancelled else move.state
    moved = job.moved(
        state,
        now,
        due_at=now + timedelta(seconds=move.delay_seconds) if state is JobState.SCHEDULED else None,
        attempt=invocation.attempt if move.charged else invocation.attempt - 1,
        cancel_requested_at=None,
        result=closing.result if state is JobState.SUCCEEDED else None,
        error=closing.error if state is JobState.DEAD else None,
        cause=cause if state in _FALLEN else None,
    )
    tables.put(replace(moved, session=None, cancel_grace_seconds=None))
    return state


def _closing(end: End) -> Closing:
    return Closing(
        claim=end.progress.claim,
        ending=end.ending,
        move=end.move,
        cause=end.cause,
        result=end.result,
        error=end.error,
        log_dropped_lines=end.log_dropped_lines,
    )


def _ended_by(tables: Tables, session: UUID, claim: ClaimKey) -> InvocationRecord | None:
    """The invocation, when the session itself has ended it: an earlier try of the same write."""
    found = tables.invocations.get(claim)
    return found if found is not None and found.session == session and found.ending is not How.FORFEITED else None


def _ended_as(tables: Tables, end: End) -> JobState:
    """Of an end that was written before: where the job stands, unless it was claimed or sent again since."""
    claim = end.progress.claim
    job = tables.jobs[claim.job]
    same = job.claim == claim and job.record.epoch == tables.invocations[claim].epoch
    return job.record.state if same else end.move.state
