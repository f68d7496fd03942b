"""Sessions give their word, and are declared dead by others when they do not."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from uuid import UUID

import orjson

from heavyjobs.errors import SessionFenced
from heavyjobs.model import ClaimKey, CoordinatorRecord, Session, short_id
from heavyjobs.store.records import CancelOrder, Tick, Topic
from heavyjobs.store.sqlite import rows
from heavyjobs.store.sqlite.sql import SQL
from heavyjobs.store.sqlite.wakeups import wake


def make_sure_of(connection: sqlite3.Connection, session: UUID) -> None:
    """Raise `SessionFenced` unless the session may still write."""
    if connection.execute(SQL["session_unfenced"], {"session": session.bytes}).fetchone() is None:
        raise fenced(session)


def fenced(session: UUID) -> SessionFenced:
    return SessionFenced(
        f"session {short_id(session)} was declared dead, has ended or never was; stop its slots and start a new one"
    )


def register(connection: sqlite3.Connection, session: Session) -> None:
    connection.execute(
        SQL["register"],
        {
            "session": session.id.bytes,
            "name": session.name,
            "host": session.host,
            "boot_id": session.boot_id,
            "pid": session.pid,
            "pid_started": session.pid_started,
            "release": session.release,
            "queues": orjson.dumps(dict(session.queues)).decode(),
            "kinds": orjson.dumps(dict(session.kinds)).decode(),
            "problems": orjson.dumps(session.problems).decode(),
            "now": rows.now(),
        },
    )


def tick(connection: sqlite3.Connection, session: UUID, held: Collection[ClaimKey]) -> Tick:
    # To the end: the statement is a transaction of its own, which ends with it.
    words = connection.execute(SQL["tick"], {"session": session.bytes, "now": rows.now()}).fetchall()
    if not words:
        raise fenced(session)
    [word] = words
    concern = {"session": session.bytes, "claims": rows.claims_text(held)}
    losing = connection.execute(SQL["lost_claims"], concern) if held else ()
    cancelling = connection.execute(SQL["cancels"], concern) if held else ()
    return Tick(
        number=word["tick"],
        drain=word["drain_requested_at"] is not None,
        lost=tuple(rows.claim_key(row) for row in losing),
        cancels=tuple(CancelOrder(rows.claim_key(row), row["cancel_grace_seconds"]) for row in cancelling),
        others=tuple(rows.session_seen(row) for row in connection.execute(SQL["other_sessions"], {"session": session.bytes})),
    )


def end_session(connection: sqlite3.Connection, session: UUID) -> None:
    connection.execute(SQL["end_session"], {"session": session.bytes, "now": rows.now()})


def drain(connection: sqlite3.Connection, sessions: Collection[UUID]) -> None:
    connection.execute(SQL["drain"], {"sessions": rows.ids_text(sessions), "now": rows.now()})
    wake(connection, Topic.CONTROL)


def coordinators(connection: sqlite3.Connection, *, ended: bool) -> Sequence[CoordinatorRecord]:
    return [rows.coordinator_record(row) for row in connection.execute(SQL["coordinators"], {"ended": ended})]
