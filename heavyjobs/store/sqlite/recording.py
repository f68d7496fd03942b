"""What invocations did is written down: their news, their logs, their ends."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from heavyjobs.model import Cause, ClaimKey, Ending, JobState, Move
from heavyjobs.store.causes import cause_text
from heavyjobs.store.records import End, LogChunk, Progress, Recorded, Topic
from heavyjobs.store.sqlite import rows
from heavyjobs.store.sqlite.families import cancel_below
from heavyjobs.store.sqlite.sessions import make_sure_of
from heavyjobs.store.sqlite.sql import SQL
from heavyjobs.store.sqlite.wakeups import wake

_WAITING: Final = frozenset({JobState.SCHEDULED, JobState.READY})
_FALLEN: Final = frozenset({JobState.DEAD, JobState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The end of an invocation that is open.

    Attributes:
        attempt: of the invocation.
        cancel: whether a cancel request stands, which leaves only success as it is.
        log_dropped_lines: None leaves the stored number.
    """

    claim: ClaimKey
    attempt: int
    cancel: bool
    ending: Ending
    move: Move
    result: str | None = None
    error: str | None = None
    cause: Cause | None = None
    log_dropped_lines: int | None = None

    @property
    def state(self) -> JobState:
        """Where the job goes."""
        return JobState.CANCELLED if self.cancel and self.move.state is not JobState.SUCCEEDED else self.move.state


def record(
    connection: sqlite3.Connection,
    session: UUID,
    *,
    progress: Sequence[Progress],
    logs: Sequence[LogChunk],
    ends: Sequence[End],
) -> Recorded:
    make_sure_of(connection, session)
    by_claim = {end.progress.claim: end for end in ends}
    named = {*by_claim, *(news.claim for news in progress), *(chunk.claim for chunk in logs)}
    found = _read_back(connection, session, named)
    held = {claim: row for claim, row in found.items() if row["ended_at"] is None}

    tell(connection, session, [news for news in (*progress, *(end.progress for end in ends)) if news.claim in held])
    append(connection, [chunk for chunk in logs if chunk.claim in held])
    closings = [_closing(end, held[claim]) for claim, end in by_claim.items() if claim in held]
    close(connection, closings)
    if held:
        wake(connection, Topic.JOBS)

    earlier = {claim: _ended_as(by_claim[claim], found[claim]) for claim in by_claim.keys() & (found.keys() - held.keys())}
    ended = earlier | {closing.claim: closing.state for closing in closings}
    return Recorded(lost=frozenset(named - held.keys() - ended.keys()), ended=ended)


def tell(connection: sqlite3.Connection, session: UUID, news: Sequence[Progress]) -> None:
    """Write news of invocations that the session holds, in their order."""
    now = rows.now()
    parameters = [_news(one, session, now=now) for one in news]
    connection.executemany(SQL["progress"], parameters)
    connection.executemany(SQL["charge"], [one for one in parameters if one["started_at"] is not None])


def append(connection: sqlite3.Connection, chunks: Iterable[LogChunk]) -> None:
    """Add chunks to invocations that are held, counting only what was not there yet."""
    lines: dict[ClaimKey, int] = defaultdict(int)
    added_bytes: dict[ClaimKey, int] = defaultdict(int)
    for chunk in chunks:
        claim = chunk.claim
        added = connection.execute(
            SQL["append_logs"],
            {
                "job": claim.job.bytes,
                "claim": claim.number,
                "first": chunk.first,
                "lines": chunk.lines,
                "data": chunk.data,
            },
        ).rowcount
        if added:
            lines[claim] = max(lines[claim], chunk.first + chunk.lines)
            added_bytes[claim] += len(chunk.data.encode())
    connection.executemany(
        SQL["count_logs"],
        [
            {"job": claim.job.bytes, "claim": claim.number, "lines": count, "bytes": added_bytes[claim]}
            for claim, count in lines.items()
        ],
    )


def close(connection: sqlite3.Connection, closings: Sequence[Closing]) -> None:
    """Close open invocations and move their jobs, cancel whom the dead and cancelled leave behind, and wake those concerned."""
    now = rows.now()
    parameters = [_end(closing, now=now) for closing in closings]
    connection.executemany(SQL["end_invocation"], parameters)
    connection.executemany(SQL["end_job"], parameters)
    cancel_below(connection, [closing.claim.job for closing in closings if closing.state in _FALLEN], now=now)
    if closings:
        wake(connection, Topic.JOBS)
    if any(closing.state in _WAITING for closing in closings):
        wake(connection, Topic.READY)


def _read_back(connection: sqlite3.Connection, session: UUID, claims: Collection[ClaimKey]) -> Mapping[ClaimKey, sqlite3.Row]:
    """Of the claims, those that the session holds or has ended itself."""
    found = connection.execute(SQL["read_back"], {"claims": rows.claims_text(claims), "session": session.bytes})
    return {rows.claim_key(row): row for row in found}


def _closing(end: End, row: sqlite3.Row) -> Closing:
    return Closing(
        claim=end.progress.claim,
        attempt=row["attempt"],
        cancel=row["cancel_requested_at"] is not None,
        ending=end.ending,
        move=end.move,
        result=end.result,
        error=end.error,
        cause=end.cause,
        log_dropped_lines=end.log_dropped_lines,
    )


def _ended_as(end: End, row: sqlite3.Row) -> JobState:
    """The state that a job went to when an earlier try wrote this end, though it may have moved on since."""
    state = JobState(row["state"])
    same_epoch = row["epoch"] == row["newest_epoch"] and row["claim"] == row["newest_claim"]
    return state if same_epoch else end.move.state


def _news(news: Progress, session: UUID, *, now: int) -> dict[str, object]:
    ago = news.started_ago_seconds
    return {
        "job": news.claim.job.bytes,
        "claim": news.claim.number,
        "session": session.bytes,
        "slot": news.slot,
        "started_at": None if ago is None else now - rows.microseconds(ago),
        "status": news.status,
        "wall_seconds": news.bill.wall_seconds,
        "cpu_seconds": news.bill.cpu_seconds,
        "memory_peak_bytes": news.bill.memory_peak_bytes,
        "read_bytes": news.bill.read_bytes,
        "written_bytes": news.bill.written_bytes,
    }


def _end(closing: Closing, *, now: int) -> dict[str, object]:
    move = closing.move
    return {
        "job": closing.claim.job.bytes,
        "claim": closing.claim.number,
        "now": now,
        "ending": closing.ending.value,
        "cause": cause_text(closing.cause),
        "log_dropped_lines": closing.log_dropped_lines,
        "state": closing.state.value,
        "attempt": closing.attempt if move.charged else closing.attempt - 1,
        "charged": move.charged,
        "delay": rows.microseconds(move.delay_seconds),
        "result": closing.result,
        "error": closing.error,
    }
