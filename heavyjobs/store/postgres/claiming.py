"""Jobs come out: promoted when due, claimed when they fit, and held until their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.rows import args_row, kwargs_row, scalar_row

from heavyjobs.errors import SessionFenced
from heavyjobs.model import ClaimKey
from heavyjobs.store.postgres.rows import claimed
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.store.postgres.wakeups import News
from heavyjobs.store.records import Claimed, Want
from heavyjobs.store.refusals import claim_lost
from heavyjobs.values import JsonText

LOOK_ROWS: Final = 10_000
"""How many jobs a claim looks at in each head of the line until it has found enough that fit."""

PROMOTE_AGAIN_SECONDS: Final = 0.1
"""How long to leave due jobs alone that are locked."""

CLAIM_TRIES: Final = 50
"""How often a claim goes on behind those who were faster; each time there is one fewer of them."""


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
        await talk.answers()
        moved = await promoting.fetchall()
        await talk.tell(News(ready={one.queue for one in moved}, jobs=[one.job for one in moved]))
        next_due = await looking.fetchall()
    if not next_due:
        return len(moved), None
    # What is due, and did not move, is locked by another transaction.
    return len(moved), next_due[0] if moved else max(next_due[0], PROMOTE_AGAIN_SECONDS)


async def claim(
    talk: Talk, session: UUID, wants: Sequence[Want], *, cpus: float, memory_bytes: int, host: str
) -> Sequence[Claimed]:
    """As long as others are faster with some, look behind those for more."""
    rooms = {want.line: want.room for want in wants}
    taken: list[Claimed] = []
    passed_over: list[UUID] = []
    for _ in range(CLAIM_TRIES):
        chosen = await _claim(talk, session, wants, rooms, passed_over, cpus=cpus, memory_bytes=memory_bytes, host=host)
        if chosen is None:
            if not taken:
                raise fenced(session)
            break
        for one in chosen:
            if one.claimed is None:
                passed_over.append(one.job)
            else:
                taken.append(one.claimed)
                rooms[one.line] -= 1
                cpus -= one.claimed.policy.cpus
                memory_bytes -= one.claimed.policy.memory_bytes or 0
        if all(one.claimed for one in chosen):
            break
    return taken


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A job that was to be claimed; `claimed` is None when another was faster, or holds its row."""

    job: UUID
    line: str
    claimed: Claimed | None


async def _claim(
    talk: Talk,
    session: UUID,
    wants: Sequence[Want],
    rooms: Mapping[str, int],
    passed_over: Sequence[UUID],
    *,
    cpus: float,
    memory_bytes: int,
    host: str,
) -> list[_Chosen] | None:
    """Claim what is chosen and can be had; None when the session is fenced."""
    wants = [want for want in wants if rooms[want.line] > 0]
    rooms = {want.line: rooms[want.line] for want in wants}
    lines = {line: number for number, line in enumerate(rooms, 1)}
    names = [*lines]

    def row(*, chosen: UUID | None, line: int, **columns: Any) -> _Chosen | None:
        return None if chosen is None else _Chosen(chosen, names[line - 1], claimed(**columns))

    rows = await talk.rows(
        "claim",
        kwargs_row(row),
        session=session,
        host=host,
        queues=[want.queue for want in wants],
        kinds=[want.kind for want in wants],
        versions=[want.version for want in wants],
        lines=[lines[want.line] for want in wants],
        rooms=[min(want.room, rooms[want.line]) for want in wants],
        depths=[want.depth_min for want in wants],
        line_rooms=list(rooms.values()),
        look=LOOK_ROWS,
        passed_over=passed_over,
        cpus=float(cpus),
        memory=memory_bytes,
    )
    return [one for one in rows if one is not None] if rows else None


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
