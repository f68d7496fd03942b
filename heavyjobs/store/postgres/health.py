"""What a PostgreSQL server says of its own fitness: whether it keeps what it was given, and whether it can be heard."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow, kwargs_row

from heavyjobs.store.postgres.addresses import Address
from heavyjobs.store.postgres.connecting import Database
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.store.records import Checked, Fit
from heavyjobs.units import show_seconds

HEARD_WITHIN_SECONDS: Final = 3.0
CLOCKS_APART_SECONDS: Final = 5.0
CONNECTIONS_NEAR: Final = 0.9

_KEEPING: Final = {"fsync", "full_page_writes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the server says.

    Attributes:
        pooled: whether the server's process is another than the one that we were told when we connected.
        clock_ahead_seconds: of this host's.
    """

    version: str
    pooled: bool
    recovering: bool
    read_only: str
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    isolation: str
    idle_ms: int
    connections: int
    connections_max: int
    clock_ahead_seconds: float


async def facts(talk: Talk) -> Facts:
    def read(*, backend: int, clock: float, **others: object) -> Facts:
        pooled = backend != talk.connection.info.backend_pid
        return Facts(pooled=pooled, clock_ahead_seconds=clock - time.time(), **others)  # type: ignore[arg-type]

    [found] = await talk.rows("health", kwargs_row(read))
    return found


async def heard(direct: Address, database: Database) -> bool:
    """Whether a notification that is sent as all are comes out where the listener listens."""
    channel = f"heavyjobs_doctor_{uuid4().hex}"
    try:
        async with await AsyncConnection[TupleRow].connect(direct.conninfo, autocommit=True) as listener:
            await listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            await database.repeated("examining", lambda talk: _notify(talk, channel))
            return bool([one async for one in listener.notifies(timeout=HEARD_WITHIN_SECONDS, stop_after=1)])
    except psycopg.Error:
        return False


async def _notify(talk: Talk, channel: str) -> None:
    await talk.connection.execute("SELECT pg_notify(%s, '')", (channel,))


def told(facts: Facts, *, heard: bool | None, listen_url: bool) -> Sequence[Checked]:
    """What is to be said.

    Args:
        heard: None where wake-ups are switched off.
    """
    return [
        Checked("server", Fit.FINE, f"PostgreSQL {facts.version}"),
        *_writable(facts),
        *_kept(facts),
        _wakeups(facts, heard=heard, listen_url=listen_url),
        *_surprises(facts),
    ]


def _writable(facts: Facts) -> Iterator[Checked]:
    if facts.recovering:
        yield Checked("writing", Fit.WRONG, "this is a standby; name the primary in database.url")
    elif facts.read_only == "on":
        yield Checked("writing", Fit.WRONG, "transactions are read-only here; set default_transaction_read_only = off")


def _kept(facts: Facts) -> Iterator[Checked]:
    off = sorted(name for name in _KEEPING if getattr(facts, name) == "off")
    for name in off:
        yield Checked("power cuts", Fit.WRONG, f"{name} is off: a power cut may destroy the whole database; set {name} = on")
    if facts.synchronous_commit == "off":
        lost = "synchronous_commit is off: a crash of the server may undo what was accepted, and outcomes"
        yield Checked("power cuts", Fit.WRONG, f"{lost}; set it to on for this database")
    elif not off:
        yield Checked("power cuts", Fit.FINE, f"synchronous_commit is {facts.synchronous_commit}")


def _wakeups(facts: Facts, *, heard: bool | None, listen_url: bool) -> Checked:
    between = " through a pooler" if facts.pooled and not listen_url else ""
    if heard is None:
        return Checked(
            "wake-ups", Fit.FINE, f"switched off, polling does the work{' (a pooler is between)' if between else ''}"
        )
    if heard and not between:
        beside = ", on the direct listen_url beside a pooler" if facts.pooled else ""
        return Checked("wake-ups", Fit.FINE, f"heard{beside}")
    how = "may be lost" if heard else "are not heard"
    direct = "set database.listen_url to a direct address, or database.notify = false"
    return Checked("wake-ups", Fit.REMARK, f"they {how}{between}: jobs start as late as poll_every; {direct}")


def _surprises(facts: Facts) -> Iterator[Checked]:
    if facts.isolation != "read committed":
        yield Checked(
            "isolation",
            Fit.REMARK,
            f"transactions are {facts.isolation} by default, which brings retries; set default_transaction_isolation",
        )
    if facts.idle_ms:
        limit = show_seconds(facts.idle_ms / 1000)
        yield Checked(
            "idle connections",
            Fit.REMARK,
            f"idle_session_timeout of {limit} ends quiet connections; they come back, with a gap: set it to 0 for this user",
        )
    use = f"{facts.connections} of {facts.connections_max} are in use"
    near = facts.connections > CONNECTIONS_NEAR * facts.connections_max
    yield Checked("connections", Fit.REMARK if near else Fit.FINE, f"{use}; raise max_connections" if near else use)
    if abs(facts.clock_ahead_seconds) > CLOCKS_APART_SECONDS:
        apart = show_seconds(abs(facts.clock_ahead_seconds))
        side = "ahead of" if facts.clock_ahead_seconds > 0 else "behind"
        yield Checked(
            "clocks",
            Fit.REMARK,
            f"the server's is {apart} {side} this host's; nothing depends on it, but times look odd: set it",
        )
