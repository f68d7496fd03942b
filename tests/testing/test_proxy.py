"""The proxy does to real connections what it says, and leaves them alone otherwise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from heavyjobs.testing.proxy import FaultyProxy, Link, Way
from tests.lifecycle.asking import until

SECONDS = 20.0


@pytest.fixture
async def proxy(empty_postgres_url: str) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(empty_postgres_url) as proxy:
        yield proxy


@asynccontextmanager
async def connect(proxy: FaultyProxy, name: str = "one") -> AsyncGenerator[AsyncConnection[TupleRow]]:
    connection = await AsyncConnection[TupleRow].connect(proxy.url, autocommit=True, application_name=name, connect_timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


async def ask(connection: AsyncConnection[TupleRow], sql: str = "SELECT 1") -> object:
    row = await (await connection.execute(sql.encode())).fetchone()
    return row[0] if row else None


async def counted(url: str) -> int:
    async with await AsyncConnection[TupleRow].connect(url) as direct:
        number = await ask(direct, "SELECT count(*) FROM noted")
        assert isinstance(number, int)
        return number


@pytest.fixture
async def table(empty_postgres_url: str) -> str:
    async with await AsyncConnection[TupleRow].connect(empty_postgres_url) as direct:
        await direct.execute("CREATE TABLE noted (number integer PRIMARY KEY)")
    return empty_postgres_url


async def test_without_a_fault_everything_passes_large_and_pipelined(proxy: FaultyProxy) -> None:
    async with connect(proxy) as one:
        assert await ask(one, "SELECT length(repeat('x', 5000000))") == 5_000_000
        assert len(str(await ask(one, "SELECT repeat('x', 3000000)"))) == 3_000_000
        async with one.pipeline(), one.transaction():
            cursors = [await one.execute("SELECT %s::integer", (number,)) for number in range(100)]
            rows = [await cursor.fetchone() for cursor in cursors]

        assert rows == [(number,) for number in range(100)]
        [link] = proxy.links
        assert (link.name, link.process_id) == ("one", one.info.backend_pid)
    await until(lambda: not proxy.links)


async def test_notifications_pass_while_nobody_asks(proxy: FaultyProxy) -> None:
    async with connect(proxy) as hearing, connect(proxy, "telling") as telling:
        await hearing.execute("LISTEN news")
        await telling.execute("NOTIFY news, 'now'")

        async with asyncio.timeout(SECONDS):
            assert (await anext(hearing.notifies())).payload == "now"
        assert [link.name for link in proxy.links if link.listens] == ["one"]


async def test_new_connections_are_refused_and_let_in_again_on_the_same_port(proxy: FaultyProxy) -> None:
    async with connect(proxy) as old:
        url = proxy.url
        proxy.refuse()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            await AsyncConnection.connect(proxy.url)
        assert await ask(old) == 1

        await proxy.heal()

        async with connect(proxy) as new:
            assert await ask(new) == 1
        assert proxy.url == url


@pytest.mark.parametrize("way", [FaultyProxy.drop, FaultyProxy.reset])
async def test_chosen_connections_are_closed_or_broken_off(
    proxy: FaultyProxy, way: Callable[[FaultyProxy, Callable[[Link], bool]], None]
) -> None:
    async with connect(proxy, "kept") as kept, connect(proxy, "lost") as lost:
        way(proxy, lambda link: link.name == "lost")

        with pytest.raises(psycopg.OperationalError):
            await ask(lost)
        assert await ask(kept) == 1
        await until(lambda: [link.name for link in proxy.links] == ["kept"])


@pytest.mark.parametrize("way", list(Way))
async def test_a_message_is_torn_in_its_middle(proxy: FaultyProxy, way: Way) -> None:
    async with connect(proxy) as one:
        proxy.tear(way)

        with pytest.raises(psycopg.DatabaseError):
            await ask(one, "SELECT repeat('x', 1000)")


@pytest.mark.parametrize("way", list(Way))
async def test_either_direction_is_closed_alone_and_both_sides_notice(proxy: FaultyProxy, way: Way) -> None:
    async with connect(proxy) as one:
        proxy.half_close(way)

        with pytest.raises(psycopg.OperationalError):
            await ask(one)
    await until(lambda: not proxy.links)


async def test_frozen_connections_and_new_ones_hear_nothing_until_the_thaw(proxy: FaultyProxy) -> None:
    async with connect(proxy) as one:
        proxy.freeze()
        asking = asyncio.create_task(ask(one))
        connecting = asyncio.create_task(AsyncConnection[TupleRow].connect(proxy.url))
        await until(lambda: len(proxy.links) == 2)
        assert not asking.done()
        assert not connecting.done()

        proxy.thaw()

        assert await asking == 1
        async with await connecting as new:
            assert await ask(new) == 1


async def test_delayed_answers_come_late_but_whole(proxy: FaultyProxy) -> None:
    async with connect(proxy) as one:
        proxy.delay(to_server=0.05, to_client=0.05)
        before = time.monotonic()

        assert await ask(one) == 1

        assert time.monotonic() - before >= 0.1


async def test_the_answer_to_a_statement_of_its_own_is_lost_after_it_has_committed(proxy: FaultyProxy, table: str) -> None:
    async with connect(proxy) as one:
        lost = proxy.lose_answer("INSERT INTO noted", passing=1)
        await one.execute("INSERT INTO noted VALUES (1)")
        await one.execute("SELECT 'INSERT'")

        with pytest.raises(psycopg.OperationalError):
            await one.execute("INSERT INTO noted VALUES (%s)", (2,))

    assert lost.happened.is_set()
    assert await counted(table) == 2
    async with connect(proxy) as again:
        await again.execute("INSERT INTO noted VALUES (3)")


async def test_the_answer_to_a_commit_is_lost_though_all_before_it_was_heard(proxy: FaultyProxy, table: str) -> None:
    lost, heard = proxy.lose_answer("INSERT INTO noted"), None

    async def insert(one: AsyncConnection[TupleRow]) -> None:
        nonlocal heard
        async with one.pipeline(), one.transaction():
            heard = await (await one.execute("INSERT INTO noted VALUES (1) RETURNING number")).fetchone()

    async with connect(proxy) as one:
        with pytest.raises(psycopg.OperationalError):
            await insert(one)

    assert heard == (1,)
    assert lost.happened.is_set()
    assert await counted(table) == 1


async def test_a_prepared_statement_is_known_by_its_words(proxy: FaultyProxy, table: str) -> None:
    async with connect(proxy) as one:
        for number in range(10):
            await one.execute("INSERT INTO noted VALUES (%s)", (number,), prepare=True)
        lost = proxy.lose_answer("INSERT INTO noted")

        with pytest.raises(psycopg.OperationalError):
            await one.execute("INSERT INTO noted VALUES (%s)", (10,), prepare=True)

    assert lost.happened.is_set()
    assert await counted(table) == 11


async def test_a_transaction_that_failed_is_no_commit(proxy: FaultyProxy, table: str) -> None:
    async def fail(one: AsyncConnection[TupleRow]) -> None:
        async with one.transaction():
            await one.execute("INSERT INTO noted VALUES (1)")
            await one.execute("SELECT 1 / 0")

    async with connect(proxy) as one:
        lost = proxy.lose_answer("INSERT INTO noted")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await fail(one)
        assert not lost.happened.is_set()

        with pytest.raises(psycopg.OperationalError):
            await one.execute("INSERT INTO noted VALUES (1)")

    assert lost.happened.is_set()
    assert await counted(table) == 1


async def test_a_lost_question_never_reaches_the_server(proxy: FaultyProxy, table: str) -> None:
    async with connect(proxy) as one:
        lost = proxy.lose_question("INSERT INTO noted")

        with pytest.raises(psycopg.OperationalError):
            await one.execute("INSERT INTO noted VALUES (1)")

    assert lost.happened.is_set()
    assert await counted(table) == 0


async def test_a_server_that_is_away_closes_connections_at_once() -> None:
    async with FaultyProxy("postgresql://postgres@127.0.0.1:1/nowhere") as proxy:
        with pytest.raises(psycopg.OperationalError):
            await AsyncConnection.connect(proxy.url)
