"""Jobs come out: promoted when due, claimed when they fit, and held until their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from psycopg.rows import args_row, kwargs_row, scalar_row

from heavyjobs.errors import SessionFenced
from heavyjobs.model import ClaimKey
from heavyjobs.store.postgres.rows import claimed
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.store.postgres.wakeups import News
from heavyjobs.store.protocol import Claimed, Want
from heavyjobs.store.refusals import claim_lost
from heavyjobs.values import JsonText

LOOK_ROWS: Final = 100
"""How many jobs that do not fit a claim looks at, and locks, in each head of the line, beyond those it has room for."""


class _Moved(NamedTuple):
    job: UUID
    queue: str


async def promote(talk: Talk, *, limit: int) -> tuple[int, float | None]:
    """Nearly always nothing is due, and one statement has said so."""
    next_due: list[float] = await talk.rows("next_due", scalar_row)
    if not next_due or next_due[0] > 0:
        return 0, next_due[0] if next_due else None
    async with talk.together():
        promoting = await talk.ask("promote", args_row(_Moved), limit=limit)
        looking = await talk.ask("next_due", scalar_row)
        moved = await promoting.fetchall()
        await talk.tell(News(ready={one.queue for one in moved}, jobs=[one.job for one in moved]))
        next_due = await looking.fetchall()
    return len(moved), next_due[0] if next_due else None


async def claim(
    talk: Talk, session: UUID, wants: Sequence[Want], *, cpus: float, memory_bytes: int, host: str
) -> Sequence[Claimed]:
    wants = [want for want in wants if want.room > 0]
    rooms = {want.line: want.room for want in wants}
    lines = {line: number for number, line in enumerate(rooms, 1)}
    rows = await talk.rows(
        "claim",
        kwargs_row(claimed),
        session=session,
        host=host,
        queues=[want.queue for want in wants],
        kinds=[want.kind for want in wants],
        versions=[want.version for want in wants],
        lines=[lines[want.line] for want in wants],
        rooms=[want.room for want in wants],
        depths=[want.depth_min for want in wants],
        line_rooms=list(rooms.values()),
        look=LOOK_ROWS,
        cpus=float(cpus),
        memory=memory_bytes,
    )
    if not rows:
        raise fenced(session)
    return [row for row in rows if row is not None]


async def held(talk: Talk, session: UUID) -> Sequence[Claimed]:
    rows = await talk.rows("held", kwargs_row(claimed), session=session)
    return [row for row in rows if row is not None]


async def checkpoint(talk: Talk, session: UUID, claim: ClaimKey, data: JsonText) -> None:
    if not await talk.rows("checkpoint", scalar_row, session=session, job=claim.job, claim=claim.number, data=data):
        raise claim_lost(claim)


async def holds(talk: Talk, session: UUID, claim: ClaimKey) -> bool:
    [answer] = await talk.rows("holds", scalar_row, session=session, job=claim.job, claim=claim.number)
    return bool(answer)


def fenced(session: UUID) -> SessionFenced:
    return SessionFenced(f"session {session} was ended, or declared dead by another coordinator; start a new one")
