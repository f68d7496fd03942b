"""A silent session is declared dead, and its jobs go where `heavyjobs.model.after` says."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from uuid import UUID

from heavyjobs.model import Cause, ClaimKey, Ending, after
from heavyjobs.store.records import Topic
from heavyjobs.store.refusals import gone_silent
from heavyjobs.store.sqlite import rows
from heavyjobs.store.sqlite.recording import Closing, close
from heavyjobs.store.sqlite.sessions import make_sure_of
from heavyjobs.store.sqlite.sql import SQL
from heavyjobs.store.sqlite.wakeups import wake


def forfeit(
    connection: sqlite3.Connection, observer: UUID, *, session: UUID, tick: int, jitter: float
) -> Sequence[ClaimKey] | None:
    make_sure_of(connection, observer)
    fencing = {"session": session.bytes, "tick": tick, "now": rows.now()}
    silent = connection.execute(SQL["fence"], fencing).fetchone()
    if silent is None:
        return None
    cause = gone_silent(silent["name"], silent["host"])
    closings = [
        _closing(row, cause, jitter=jitter)
        for row in connection.execute(SQL["open_invocations"], {"session": session.bytes}).fetchall()
    ]
    close(connection, closings)
    wake(connection, Topic.CONTROL)
    return [closing.claim for closing in closings]


def _closing(row: sqlite3.Row, cause: Cause, *, jitter: float) -> Closing:
    return Closing(
        claim=rows.claim_key(row),
        attempt=row["attempt"],
        cancel=row["cancel_requested_at"] is not None,
        ending=Ending.FORFEITED,
        move=after(
            Ending.FORFEITED,
            started=row["started_at"] is not None,
            attempt=row["attempt"],
            unstarted=row["unstarted"],
            policy=rows.policy(row),
            jitter=jitter,
        ),
        cause=cause,
    )
