"""A large history, and what a statement does in it by the word of EXPLAIN ANALYZE, whatever PostgreSQL believes of it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

import psycopg
from psycopg import AsyncCursor, sql
from psycopg.rows import BaseRowFactory
from typing_extensions import override

from heavyjobs.store.postgres.store import PostgresStore
from heavyjobs.store.postgres.talking import SQL, Talk
from heavyjobs.store.records import Claimed

T = TypeVar("T")

HISTORY: Final = 50_000
READY: Final = 12_000
TAKEN: Final = 20

BELIEFS: Final = ("no statistics", "statistics", "statistics of an empty line", "plans of an empty database")

NAME: Final = re.compile(r"%\((\w+)\)s")
EXPLAIN: Final = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ")

_JOBS: Final = """
INSERT INTO heavyjobs.jobs (id, kind, version, state, queue, priority, attempts, backoff_seconds, backoff_max_seconds,
                            grace_seconds, cpus, claim, attempt, ready_at, live_key, parent, child_key, finished_at,
                            parameters)
SELECT gen_random_uuid(), %(kind)s, 1, %(state)s, 'default', 0, 3, 1, 1, 1, 1, 1, 1,
       CASE WHEN %(state)s = 'ready' THEN clock_timestamp() END, CASE WHEN %(state)s = 'ready' THEN gen_random_uuid()::text END,
       CASE WHEN %(state)s = 'succeeded' THEN gen_random_uuid() END, 'c', clock_timestamp(), '{}'
  FROM generate_series(1, %(count)s)
"""
_INVOCATIONS: Final = """
INSERT INTO heavyjobs.invocations (job, claim, epoch, attempt, session, host, started_at, ended_at, ending)
SELECT id, 1, 1, 1, %(session)s, 'host-a', clock_timestamp(), clock_timestamp(), 'succeeded'
  FROM heavyjobs.jobs
 WHERE state = 'succeeded'
"""
_LOGS: Final = """
INSERT INTO heavyjobs.logs (job, claim, first, lines, data)
SELECT id, 1, 0, 1, '[[0,"stdout",null,"x"]]'
  FROM heavyjobs.jobs
 WHERE state = 'succeeded'
"""


@dataclass(slots=True)
class Noting(Talk):
    """Remembers with what each statement was asked."""

    asked: dict[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]])

    async def ask(self, statement: str, row: BaseRowFactory[T], /, **values: object) -> AsyncCursor[T]:
        self.asked[statement] = values
        return await Talk.ask(self, statement, row, **values)

    @asynccontextmanager
    @override
    async def together(self) -> AsyncGenerator[None]:
        """Within the transaction that is undone, one by one: a COMMIT would keep what was done."""
        async with self.connection.transaction():
            yield


@dataclass(slots=True)
class Prepared:
    """Statements of one connection, which keeps their plans as the store's connections do."""

    connection: psycopg.Connection[Any]
    names: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def prepare(self, statement: str) -> sql.Composed:
        """What executes it, but for the values."""
        if statement not in self.names:
            names = self.names[statement] = list(dict.fromkeys(NAME.findall(SQL[statement].decode())))
            text = NAME.sub(lambda found: f"${names.index(found[1]) + 1}", SQL[statement].decode())
            self.connection.execute(f"PREPARE {statement} AS {text}".encode())
        return sql.SQL("EXECUTE {}").format(sql.Identifier(statement))

    def plan(self, statement: str) -> None:
        """Have it planned as things are, without running it."""
        execute = self.prepare(statement)
        nothing = self._values(dict.fromkeys(self.names[statement]), self.names[statement])
        self.connection.execute(sql.SQL("EXPLAIN ") + execute + nothing)

    def explain(self, statement: str, values: Mapping[str, object]) -> Plan:
        """The statement with these values, planned as a prepared one is, and undone."""
        execute = self.prepare(statement) + self._values(values, self.names[statement])
        with self.connection.transaction(force_rollback=True):
            answer = self.connection.execute(EXPLAIN + execute).fetchone()
        assert answer is not None
        return _plan(answer[0][0]["Plan"])

    @staticmethod
    def _values(values: Mapping[str, object], names: list[str]) -> sql.Composable:
        given = sql.SQL(", ").join(sql.Literal(values[name]) for name in names)
        return sql.SQL(" ({})").format(given) if names else sql.SQL("")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a statement did, by the word of EXPLAIN ANALYZE."""

    indexes: frozenset[str]
    walked: int
    buffers: int


Explain: TypeAlias = Callable[[str, Callable[[Talk], Awaitable[object]]], Awaitable[Plan]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A session with a long past that holds some jobs now, in a database without or with statistics."""

    url: str
    store: PostgresStore
    session: UUID
    held: list[Claimed]


@dataclass(frozen=True, slots=True)
class History:
    """A database with a past."""

    url: str
    session: UUID
    prepared: Prepared


def fill(prepared: Prepared, session: UUID, *, believing: str) -> None:
    connection = prepared.connection
    for table in ("jobs", "invocations", "logs"):
        connection.execute(sql.SQL("ALTER TABLE heavyjobs.{} SET (autovacuum_enabled = off)").format(sql.Identifier(table)))
    if believing == "plans of an empty database":
        for statement in SQL:
            prepared.plan(statement)
    connection.execute(_JOBS, {"kind": "demo.past", "state": "succeeded", "count": HISTORY})
    connection.execute(_INVOCATIONS, {"session": session})
    connection.execute(_LOGS)
    if believing == "statistics of an empty line":
        connection.execute("VACUUM ANALYZE")
    connection.execute(_JOBS, {"kind": "demo.other", "state": "ready", "count": READY})
    if believing == "statistics":
        connection.execute("VACUUM ANALYZE")


def _plan(root: dict[str, Any]) -> Plan:
    nodes = list(_nodes(root))
    tables = [node for node in nodes if node["Node Type"].endswith("Scan") and "Relation Name" in node]
    walked_whole = {node["Relation Name"] for node in tables if node["Node Type"] == "Seq Scan"}
    assert walked_whole <= {"coordinators"}
    return Plan(
        frozenset(node["Index Name"] for node in nodes if "Index Name" in node),
        walked=sum(round(_walked(node)) for node in tables),
        buffers=root["Shared Hit Blocks"] + root["Shared Read Blocks"],
    )


def _walked(node: dict[str, Any]) -> float:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
