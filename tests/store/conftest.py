"""A database with a past, and how to see what statements do in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from heavyjobs.model import new_id
from heavyjobs.store.postgres.store import PostgresStore
from heavyjobs.store.postgres.talking import SQL, Talk
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.contract.harness import end, new_job, new_session, submit, take, want
from heavyjobs.testing.postgres import PostgresServer
from tests.store.plans import BELIEFS, TAKEN, Explain, History, Noting, Plan, Prepared, Scene, fill


@pytest.fixture(scope="package", params=BELIEFS)
def history(postgres: PostgresServer, postgres_template: str, request: pytest.FixtureRequest) -> Iterator[History]:
    """A database with a long past, all of it of one session."""
    session = new_id()
    with postgres.database(template=postgres_template) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL["settings"], {"timeout": "10000", "idle": "10000"})
        connection.execute("SET idle_session_timeout = 0")
        prepared = Prepared(connection)
        fill(prepared, session, believing=request.param)
        yield History(url, session, prepared)


@pytest.fixture
async def scene(history: History) -> AsyncIterator[Scene]:
    url, session = history.url, history.session
    async with PostgresStore(url, StoreOptions()) as store:
        await store.register(replace(new_session(), id=session))
        await submit(store, *(new_job() for _ in range(TAKEN)))
        held = await take(store, session)
        await submit(store, *(new_job() for _ in range(200)))
        yield Scene(url, store, session, list(held))
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
