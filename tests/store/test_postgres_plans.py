"""What the hot statements cost does not grow with the history or the line, whatever PostgreSQL believes of them.

It believes what it saw when it last looked: nothing at all, a line as long as it is, or a line that was empty just then. And a
connection keeps the plans that it has made, were it before the first job.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncCursor, sql
from psycopg.rows import BaseRowFactory

from heavyjobs.model import new_id
from heavyjobs.store.postgres import claiming, reading, recording, sessions, submitting
from heavyjobs.store.postgres.store import PostgresStore
from heavyjobs.store.postgres.talking import SQL, Talk
from heavyjobs.store.records import Claimed, StoreOptions
from heavyjobs.testing.contract.harness import chunk, end, new_job, new_session, news, submit, take, want
from heavyjobs.testing.postgres import PostgresServer

T = TypeVar("T")

HISTORY: Final = 50_000
READY: Final = 12_000
TAKEN: Final = 20

BELIEFS: Final = ("no statistics", "statistics", "statistics of an empty line", "plans of an empty database")

NAME: Final = re.compile(r"%\((\w+)\)s")
EXPLAIN: Final = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ")

_JOBS: Final = """
INSERT INTO heavyjobs.jobs (id, kind, version, state, queue, priority, attempts, backoff_seconds, backoff_max_seconds,
                            grace_seconds, cpus, claim, attempt, ready_at, live_key, finished_at, parameters)
SELECT gen_random_uuid(), %(kind)s, 1, %(state)s, 'default', 0, 3, 1, 1, 1, 1, 1, 1,
       CASE WHEN %(state)s = 'ready' THEN clock_timestamp() END, CASE WHEN %(state)s = 'ready' THEN gen_random_uuid()::text END,
       clock_timestamp(), '{}'
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


Explain = Callable[[str, Callable[[Talk], Awaitable[object]]], Awaitable[Plan]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A session with a long past that holds some jobs now, in a database without or with statistics."""

    url: str
    session: UUID
    held: list[Claimed]


@dataclass(frozen=True, slots=True)
class History:
    """A database with a past."""

    url: str
    session: UUID
    prepared: Prepared


@pytest.fixture(
    scope="module", params=["no statistics", "statistics", "statistics of an empty line", "plans of an empty database"]
)
def history(postgres: PostgresServer, postgres_template: str, request: pytest.FixtureRequest) -> Iterator[History]:
    """A database with a long past, all of it of one session."""
    session = new_id()
    with postgres.database(template=postgres_template) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL["settings"], {"timeout": "10000", "idle": "10000"})
        connection.execute("SET idle_session_timeout = 0")
        prepared = Prepared(connection)
        _fill(prepared, session, believing=request.param)
        yield History(url, session, prepared)


def _fill(prepared: Prepared, session: UUID, *, believing: str) -> None:
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


@pytest.fixture
async def scene(history: History) -> AsyncIterator[Scene]:
    url, session = history.url, history.session
    async with PostgresStore(url, StoreOptions()) as store:
        await store.register(replace(new_session(), id=session))
        await submit(store, *(new_job() for _ in range(TAKEN)))
        held = await take(store, session)
        await submit(store, *(new_job() for _ in range(200)))
        yield Scene(url, session, list(held))
        await store.record(session, progress=[], logs=[], ends=[end(one.claim) for one in held])
        await store.record(
            session, progress=[], logs=[], ends=[end(one.claim) for one in await take(store, session, want(room=1000))]
        )


@pytest.fixture
async def explain(scene: Scene, history: History) -> AsyncIterator[Explain]:
    """Does something, undoes it, and explains one of its statements as it would have run."""
    async with await psycopg.AsyncConnection.connect(scene.url, autocommit=True) as own:

        async def explained(statement: str, work: Callable[[Talk], Awaitable[object]]) -> Plan:
            talk = Noting(own, notify=False)
            async with own.transaction(force_rollback=True):
                await work(talk)
            return history.prepared.explain(statement, talk.asked[statement])

        yield explained


async def test_a_claim_looks_at_what_it_takes_however_many_jobs_there_are(scene: Scene, explain: Explain) -> None:
    plan = await explain(
        "claim",
        lambda talk: claiming.claim(talk, scene.session, [want(room=TAKEN)], cpus=1e6, memory_bytes=1 << 50, host="host-a"),
    )

    assert "jobs_ready" in plan.indexes
    assert plan.walked <= 4 * TAKEN
    assert plan.buffers <= 100 * TAKEN


async def test_a_claim_of_an_unknown_kind_walks_nothing(scene: Scene, explain: Explain) -> None:
    plan = await explain(
        "claim",
        lambda talk: claiming.claim(
            talk, scene.session, [want("demo.unknown", room=TAKEN)], cpus=1e6, memory_bytes=1 << 50, host="host-a"
        ),
    )

    assert plan.walked <= 1
    assert plan.buffers <= 30


async def test_a_claim_that_fits_nothing_looks_at_a_bounded_number_of_jobs(scene: Scene, explain: Explain) -> None:
    plan = await explain(
        "claim",
        lambda talk: claiming.claim(
            talk, scene.session, [want("demo.other", room=TAKEN)], cpus=0.5, memory_bytes=1 << 50, host="host-a"
        ),
    )

    assert plan.walked <= claiming.LOOK_ROWS + 10


@pytest.mark.parametrize(
    ("statement", "index"),
    [("end_invocation", "jobs_pkey"), ("progress", "invocations_pkey"), ("append_logs", "invocations_pkey")],
)
async def test_recording_finds_each_invocation_by_its_key(scene: Scene, explain: Explain, statement: str, index: str) -> None:
    claims = [one.claim for one in scene.held]

    plan = await explain(
        statement,
        lambda talk: recording.record(
            talk,
            scene.session,
            progress=[news(claim, status="1") for claim in claims[: TAKEN // 2]],
            logs=[chunk(claim, 0, "line") for claim in claims],
            ends=[end(claim) for claim in claims[TAKEN // 2 :]],
        ),
    )

    assert index in plan.indexes
    assert "invocations_session" not in plan.indexes
    assert plan.walked <= 5 * TAKEN


@pytest.mark.parametrize("statement", ["lost_claims", "cancels", "tick", "other_sessions"])
async def test_a_tick_walks_what_is_held(scene: Scene, explain: Explain, statement: str) -> None:
    plan = await explain(statement, lambda talk: sessions.tick(talk, scene.session, [one.claim for one in scene.held]))

    assert plan.walked <= 2 * TAKEN


async def test_looking_for_due_jobs_walks_none_that_are_not_due(scene: Scene, explain: Explain) -> None:
    async def work(talk: Talk) -> None:
        # One is due at once, or none would be asked for.
        await submitting.submit_within(talk, [new_job(delay_seconds=seconds) for seconds in (1e-6, *[3600] * 100)])
        await claiming.promote(talk, limit=100)

    promote, next_due = await explain("promote", work), await explain("next_due", work)

    assert "jobs_due" in promote.indexes & next_due.indexes
    assert promote.walked == 0
    assert next_due.walked <= 1


async def test_submitting_with_keys_walks_no_history(scene: Scene, explain: Explain) -> None:
    jobs = [new_job(unique_key=f"k{number}", parent=new_id(), child_key="c", depth=1) for number in range(TAKEN)]

    plan = await explain("submit", lambda talk: submitting.submit_within(talk, jobs))

    assert {"jobs_pkey", "jobs_live_key", "jobs_child"} <= plan.indexes
    assert plan.walked <= 3 * TAKEN


@pytest.mark.parametrize("statement", ["parent_held", "send_again", "note_spawn", "submit"])
async def test_spawning_finds_parent_and_children_by_key(scene: Scene, explain: Explain, statement: str) -> None:
    parent = scene.held[0].claim
    children = [new_job(parent=parent.job, child_key=f"c{number}", depth=1) for number in range(TAKEN)]

    async def work(talk: Talk) -> None:
        await submitting.submit_within(talk, children[: TAKEN // 2])
        await submitting.spawn(talk, scene.session, parent, children)

    plan = await explain(statement, work)

    assert plan.indexes & {"jobs_pkey", "jobs_child"}
    assert plan.walked <= 3 * TAKEN


async def test_briefs_and_logs_are_found_by_key(scene: Scene, explain: Explain) -> None:
    ids = [one.claim.job for one in scene.held]

    briefs = await explain("briefs", lambda talk: reading.briefs(talk, ids))
    logs = await explain("logs", lambda talk: reading.logs(talk, ids[0], claim=1, first=0, limit_chunks=10))
    rows = await explain("log_rows", lambda talk: reading.log_rows(talk, ids[0], claim=1, first=0, limit_rows=10))

    assert briefs.walked <= 2 * TAKEN
    assert logs.indexes == {"logs_pkey"}
    assert logs.walked <= 10
    assert rows.indexes == {"logs_pkey"}
    assert rows.walked <= 10


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
