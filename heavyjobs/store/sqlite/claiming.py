"""Jobs come out: promoted when due, claimed when they fit, and held until their end."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from operator import attrgetter
from typing import Final
from uuid import UUID

from heavyjobs.model import ClaimKey
from heavyjobs.store.records import Claimed, Topic, Want
from heavyjobs.store.refusals import claim_lost
from heavyjobs.store.sqlite import rows
from heavyjobs.store.sqlite.sessions import fenced
from heavyjobs.store.sqlite.sql import SQL
from heavyjobs.store.sqlite.wakeups import wake
from heavyjobs.values import JsonText

LOOK_ROWS: Final = 10_000
"""How many jobs a claim looks at in each head of the line until it has found enough that fit."""

LOOK_AHEAD: Final = 100
"""How many of those that fit by themselves it weighs beyond those it has room for, since together they may not fit."""

PROMOTE_AGAIN_SECONDS: Final = 0.001
"""How soon to come again when nothing moved."""

BANDS_MAX: Final = 100
"""How many versions and priorities of a kind a claim tells apart."""

_CPUS_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ready job as a claim judges it. `order` is where it stands: priority, depth, age, id."""

    order: tuple[int, int, int, bytes]
    line: str
    cpus: float
    memory_bytes: int

    @property
    def job(self) -> bytes:
        return self.order[3]


def choose(candidates: Iterable[Candidate], rooms: Mapping[str, int], *, cpus: float, memory_bytes: int) -> list[bytes]:
    """The jobs to take of `candidates`, which come in the order they should start; what does not fit is passed over.

    Args:
        rooms: how many of each line.
    """
    left = dict(rooms)
    chosen: dict[bytes, Candidate] = {}
    for candidate in candidates:
        if (
            left[candidate.line] > 0
            and candidate.cpus <= cpus + _CPUS_TOLERANCE
            and candidate.memory_bytes <= memory_bytes
            and candidate.job not in chosen
        ):
            chosen[candidate.job] = candidate
            cpus -= candidate.cpus
            memory_bytes -= candidate.memory_bytes
            left[candidate.line] -= 1
        if not any(room > 0 for room in left.values()):
            break
    return list(chosen)


def look(
    connection: sqlite3.Connection, session: UUID, wants: Sequence[Want], *, cpus: float, memory_bytes: int
) -> list[bytes]:
    """Which jobs would be claimed now."""
    claimable = connection.execute(SQL["claimable"], {"session": session.bytes}).fetchone()
    if claimable is None:
        raise fenced(session)
    if not claimable["any_ready"]:
        return []
    rooms = {want.line: want.room for want in wants if want.room > 0}
    # Where two lines could take a job, the one for deeper jobs does: it can take no others.
    open_wants = sorted((want for want in wants if want.room > 0), key=lambda want: -want.depth_min)
    fits = {"cpus": cpus + _CPUS_TOLERANCE, "memory_bytes": memory_bytes}
    with ExitStack() as cursors:
        heads = [
            _head(connection, want, band, {**fits, "look": LOOK_ROWS // len(bands)}, cursors)
            for want in open_wants
            for bands in [_bands(connection, want)]
            for band in bands
        ]
        return choose(heapq.merge(*heads, key=attrgetter("order")), rooms, cpus=cpus, memory_bytes=memory_bytes)


def take(connection: sqlite3.Connection, session: UUID, jobs: Iterable[bytes], *, host: str) -> Sequence[Claimed]:
    """Claim the jobs, and open their invocations."""
    taken = [
        rows.claimed(row)
        for job in jobs
        for row in connection.execute(SQL["claim_take"], {"session": session.bytes, "job": job}).fetchall()
    ]
    now = rows.now()
    connection.executemany(
        SQL["open_invocation"],
        [
            {
                "job": one.claim.job.bytes,
                "claim": one.claim.number,
                "epoch": one.epoch,
                "attempt": one.attempt,
                "session": session.bytes,
                "host": host,
                "now": now,
            }
            for one in taken
        ],
    )
    if taken:
        wake(connection, Topic.JOBS)
    return taken


def next_due(connection: sqlite3.Connection) -> float | None:
    """Seconds until the next scheduled job is due, 0 or less when it is; None when there is none."""
    due_at = connection.execute(SQL["next_due"]).fetchone()["due_at"]
    return None if due_at is None else (due_at - rows.now()) / 1_000_000


def promote(connection: sqlite3.Connection, *, limit: int) -> tuple[int, float | None]:
    moved = connection.execute(SQL["promote"], {"now": rows.now(), "limit": limit}).rowcount
    if moved:
        wake(connection, Topic.READY, Topic.JOBS)
    seconds = next_due(connection)
    # One may have fallen due since.
    return moved, seconds if moved or seconds is None else max(seconds, PROMOTE_AGAIN_SECONDS)


def held(connection: sqlite3.Connection, session: UUID) -> Sequence[Claimed]:
    return [rows.claimed(row) for row in connection.execute(SQL["held"], {"session": session.bytes})]


def checkpoint(connection: sqlite3.Connection, session: UUID, claim: ClaimKey, data: JsonText) -> None:
    if connection.execute(SQL["checkpoint"], {**_claim(session, claim), "data": data}).rowcount == 0:
        raise claim_lost(claim)


def holds(connection: sqlite3.Connection, session: UUID, claim: ClaimKey) -> bool:
    return connection.execute(SQL["holds"], _claim(session, claim)).fetchone() is not None


def _claim(session: UUID, claim: ClaimKey) -> dict[str, object]:
    return {"session": session.bytes, "job": claim.job.bytes, "claim": claim.number}


def _bands(connection: sqlite3.Connection, want: Want) -> list[tuple[int, int]]:
    """Versions and priorities that have ready jobs: within one of them, the index is in the order jobs start."""
    found = connection.execute(
        SQL["claim_bands"], {"queue": want.queue, "kind": want.kind, "version": want.version, "limit": BANDS_MAX}
    )
    return [(row["version"], row["priority"]) for row in found]


def _head(
    connection: sqlite3.Connection, want: Want, band: tuple[int, int], bounds: Mapping[str, float], cursors: ExitStack
) -> Iterator[Candidate]:
    """The first jobs of a band that fit by themselves, read one by one as they are asked for."""
    version, priority = band
    cursor = connection.execute(
        SQL["claim_heads"],
        {
            "queue": want.queue,
            "kind": want.kind,
            "version": version,
            "priority": priority,
            "depth_min": want.depth_min,
            "limit": want.room + LOOK_AHEAD,
            **bounds,
        },
    )
    cursors.callback(cursor.close)
    for row in cursor:
        order = (-priority, -row["depth"], row["ready_at"], row["id"])
        yield Candidate(order, want.line, row["cpus"], row["memory_bytes"] or 0)
