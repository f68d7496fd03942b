"""Sessions of coordinators: opened, kept alive by their ticks, declared dead by others, closed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import orjson
from psycopg.rows import args_row, kwargs_row, scalar_row, tuple_row

from heavyjobs.model import Bill, Cause, ClaimKey, Ending, Policy, Session, after
from heavyjobs.store.postgres.claiming import fenced
from heavyjobs.store.postgres.recording import send_ends, tell_ends
from heavyjobs.store.postgres.rows import session_seen
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.store.postgres.wakeups import News
from heavyjobs.store.records import CancelOrder, End, Progress, Tick
from heavyjobs.store.refusals import gone_silent


async def register(talk: Talk, session: Session) -> None:
    await talk.do(
        "register",
        session=session.id,
        name=session.name,
        host=session.host,
        boot_id=session.boot_id,
        pid=session.pid,
        pid_started=session.pid_started,
        release=session.release,
        queues=_json(dict(session.queues)),
        kinds=_json(dict(session.kinds)),
        problems=_json(session.problems),
    )


async def tick(talk: Talk, session: UUID, held: Collection[ClaimKey]) -> Tick:
    """All statements in one pipeline are one implicit transaction and one round trip."""
    jobs, claims = [claim.job for claim in held], [claim.number for claim in held]
    async with talk.connection.pipeline():
        ticking = await talk.ask("tick", args_row(_Ticked), session=session)
        concern = {"session": session, "jobs": jobs, "claims": claims}
        losing = await talk.ask("lost_claims", args_row(ClaimKey), **concern) if held else None
        cancelling = await talk.ask("cancels", args_row(_cancel_order), **concern) if held else None
        seeing = await talk.ask("other_sessions", kwargs_row(session_seen), session=session)
    ticked = await ticking.fetchone()
    if ticked is None:
        raise fenced(session)
    return Tick(
        number=ticked.number,
        drain=ticked.drain,
        lost=tuple(await losing.fetchall()) if losing else (),
        cancels=tuple(await cancelling.fetchall()) if cancelling else (),
        others=tuple(await seeing.fetchall()),
    )


async def forfeit(talk: Talk, observer: UUID, *, session: UUID, tick: int, jitter: float) -> Sequence[ClaimKey] | None:
    """Fencing waits for what the silent session is writing, and whoever writes after that finds itself fenced."""
    async with talk.transaction():
        if not await talk.rows("session_unfenced", scalar_row, session=observer):
            raise fenced(observer)
        silent = await talk.rows("fence", tuple_row, session=session, tick=tick)
        if not silent:
            return None
        [(name, host)] = silent
        cause = gone_silent(name, host)
        held = await talk.rows("open_invocations", kwargs_row(_held), session=session)
        closing = await send_ends(talk, session, [_forfeited(one, cause=cause, jitter=jitter) for one in held])
        ended = await closing.fetchall() if closing else []
        await tell_ends(talk, ended)
    return [one.claim for one in ended]


async def end_session(talk: Talk, session: UUID) -> None:
    async with talk.together():
        await talk.do("settle_session", session=session)
        await talk.do("end_session", session=session)


async def drain(talk: Talk, sessions: Collection[UUID]) -> None:
    async with talk.together():
        await talk.do("drain", sessions=list(sessions))
        await talk.tell(News(control=sessions))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """An invocation of a fenced session, with all that decides where its job goes."""

    progress: Progress
    started: bool
    attempt: int
    unstarted: int
    policy: Policy
    log_dropped_lines: int


def _forfeited(held: _Held, *, cause: Cause, jitter: float) -> End:
    move = after(
        Ending.FORFEITED,
        started=held.started,
        attempt=held.attempt,
        unstarted=held.unstarted,
        policy=held.policy,
        jitter=jitter,
    )
    return End(
        progress=held.progress, ending=Ending.FORFEITED, move=move, cause=cause, log_dropped_lines=held.log_dropped_lines
    )


def _held(
    *,
    job: UUID,
    claim: int,
    attempt: int,
    unstarted: int,
    started: bool,
    slot: str,
    wall_seconds: float,
    cpu_seconds: float,
    memory_peak_bytes: int,
    read_bytes: int,
    written_bytes: int,
    log_dropped_lines: int,
    queue: str,
    priority: int,
    attempts: int,
    backoff_seconds: float,
    backoff_max_seconds: float,
    timeout_seconds: float | None,
    grace_seconds: float,
    cpus: float,
    memory_bytes: int | None,
) -> _Held:
    bill = Bill(wall_seconds, cpu_seconds, memory_peak_bytes, read_bytes, written_bytes)
    return _Held(
        progress=Progress(claim=ClaimKey(job, claim), slot=slot, started_ago_seconds=None, status=None, bill=bill),
        started=started,
        attempt=attempt,
        unstarted=unstarted,
        policy=Policy(
            queue, priority, attempts, backoff_seconds, backoff_max_seconds, timeout_seconds, grace_seconds, cpus, memory_bytes
        ),
        log_dropped_lines=log_dropped_lines,
    )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


class _Ticked(NamedTuple):
    number: int
    drain: bool


def _cancel_order(job: UUID, claim: int, grace_seconds: float | None) -> CancelOrder:
    return CancelOrder(ClaimKey(job, claim), grace_seconds)
