"""What invocations did is written down: their news, their logs, their ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from psycopg import AsyncCursor
from psycopg.rows import args_row, kwargs_row, scalar_row

from heavyjobs.model import ClaimKey, JobState
from heavyjobs.store.causes import cause_text
from heavyjobs.store.postgres.changing import cancel_family
from heavyjobs.store.postgres.claiming import fenced
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.store.postgres.wakeups import News
from heavyjobs.store.records import End, LogChunk, Progress, Recorded


@dataclass(frozen=True, slots=True)
class Ended:
    """An invocation that was closed: the state that its job went to, and the job's queue."""

    claim: ClaimKey
    state: JobState
    queue: str


@dataclass(frozen=True, slots=True)
class _Told:
    """A running invocation whose news was written; `charged` when its attempt was charged just now."""

    claim: ClaimKey
    charged: bool


async def record(
    talk: Talk, session: UUID, *, progress: Sequence[Progress], logs: Sequence[LogChunk], ends: Sequence[End]
) -> Recorded:
    """Everything is sent at once; whether the session still had a say is looked at before the commit."""
    # In one order; a cancel has another, and whoever meets one is done again.
    ends = sorted(ends, key=lambda end: end.progress.claim.job.int)
    ending = {end.progress.claim for end in ends}
    every = [*progress, *(end.progress for end in ends)]
    latest = {news.claim: news for news in every}
    if len(latest) < len(every):  # never from the relay, and the rest need not pay for it
        latest = _merged(every)
        ends = [replace(end, progress=latest[end.progress.claim]) for end in ends]
    running = [news for claim, news in latest.items() if claim not in ending]
    named = ending | {news.claim for news in progress} | {chunk.claim for chunk in logs}
    async with talk.together():
        asked = await talk.ask("session_unfenced", scalar_row, session=session)
        telling = await _send_progress(talk, session, running)
        appending = await _send_logs(talk, session, logs)
        closing = await send_ends(talk, session, ends)
        await talk.answers()
        if not await asked.fetchall():
            raise fenced(session)
        told = await telling.fetchall() if telling else []
        live = {one.claim for one in told} | set(await appending.fetchall() if appending else [])
        ended = await closing.fetchall() if closing else []
        written = {one.claim: one.state for one in ended}
        earlier = await _read_back(talk, session, [end for end in ends if end.progress.claim not in written])
        news = {news.claim.job for news in running if news.status is not None}
        news |= {one.claim.job for one in told if one.charged} | {chunk.claim.job for chunk in logs}
        await tell_ends(talk, ended, also=news)
    states = earlier | written
    return Recorded(
        lost=frozenset(named - live - states.keys()),
        ended={claim: states[claim] for claim in ending if claim in states},
    )


async def send_ends(talk: Talk, session: UUID, ends: Sequence[End]) -> AsyncCursor[Ended] | None:
    """Send the ends; the rows say the state that each job went to, and its queue."""
    if not ends:
        return None
    return await talk.ask(
        "end_invocation",
        args_row(_ended),
        session=session,
        **_news([end.progress for end in ends]),
        endings=[end.ending.value for end in ends],
        causes=[cause_text(end.cause) for end in ends],
        dropped=[end.log_dropped_lines for end in ends],
        states=[end.move.state.value for end in ends],
        delays=[float(end.move.delay_seconds) for end in ends],
        charged=[end.move.charged for end in ends],
        results=[end.result for end in ends],
        errors=[end.error for end in ends],
    )


async def tell_ends(talk: Talk, ended: Sequence[Ended], *, also: Collection[UUID] = ()) -> None:
    """Cancel the descendants of jobs that are dead or cancelled, and wake all whom the ends concern, at once."""
    fallen = [one.claim.job for one in ended if one.state in {JobState.DEAD, JobState.CANCELLED}]
    family = await cancel_family(talk, fallen, falling=True)
    await talk.tell(
        News(
            ready={one.queue for one in ended if not one.state.ended},
            jobs={*also, *family.changed, *(one.claim.job for one in ended)},
            control=family.sessions,
        )
    )


async def _send_progress(talk: Talk, session: UUID, news: Sequence[Progress]) -> AsyncCursor[_Told] | None:
    if not news:
        return None
    ordered = sorted(news, key=lambda one: one.claim.job.int)
    return await talk.ask("progress", kwargs_row(_told), session=session, **_news(ordered))


async def _send_logs(talk: Talk, session: UUID, logs: Sequence[LogChunk]) -> AsyncCursor[ClaimKey] | None:
    if not logs:
        return None
    return await talk.ask(
        "append_logs",
        args_row(ClaimKey),
        session=session,
        jobs=[chunk.claim.job for chunk in logs],
        claims=[chunk.claim.number for chunk in logs],
        firsts=[chunk.first for chunk in logs],
        lines=[chunk.lines for chunk in logs],
        datas=[chunk.data for chunk in logs],
    )


def _merged(news: Sequence[Progress]) -> dict[ClaimKey, Progress]:
    """What several news of one claim say together: a statement updates each row once."""
    latest: dict[ClaimKey, Progress] = {}
    for one in news:
        before = latest.get(one.claim, one)
        started = one.started_ago_seconds if before.started_ago_seconds is None else before.started_ago_seconds
        status = before.status if one.status is None else one.status
        latest[one.claim] = replace(one, started_ago_seconds=started, status=status)
    return latest


async def _read_back(talk: Talk, session: UUID, ends: Sequence[End]) -> dict[ClaimKey, JobState]:
    """The ends that were written before: an earlier try of the same batch may have been committed unheard."""
    if not ends:
        return {}
    asked = {end.progress.claim: end.move.state for end in ends}
    rows = await talk.rows(
        "read_back",
        args_row(_state),
        session=session,
        jobs=[claim.job for claim in asked],
        claims=[claim.number for claim in asked],
    )
    return {claim: state or asked[claim] for claim, state in rows}


def _news(news: Sequence[Progress]) -> dict[str, object]:
    bills = [one.bill for one in news]
    return {
        "jobs": [one.claim.job for one in news],
        "claims": [one.claim.number for one in news],
        "slots": [one.slot for one in news],
        "started_agos": [None if one.started_ago_seconds is None else float(one.started_ago_seconds) for one in news],
        "statuses": [one.status for one in news],
        "walls": [float(bill.wall_seconds) for bill in bills],
        "cpus": [float(bill.cpu_seconds) for bill in bills],
        "memories": [bill.memory_peak_bytes for bill in bills],
        "reads": [bill.read_bytes for bill in bills],
        "writes": [bill.written_bytes for bill in bills],
    }


def _told(*, job: UUID, claim: int, charged: bool) -> _Told:
    return _Told(ClaimKey(job, claim), charged)


def _ended(job: UUID, claim: int, state: str, queue: str) -> Ended:
    return Ended(ClaimKey(job, claim), JobState(state), queue)


def _state(job: UUID, claim: int, state: str | None) -> tuple[ClaimKey, JobState | None]:
    return ClaimKey(job, claim), None if state is None else JobState(state)
