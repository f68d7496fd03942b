"""The database goes away and comes back: for a while jobs go on and nothing is lost; for too long, and they are given up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import pytest

from heavyjobs import Client
from heavyjobs.model import Ending
from heavyjobs.testing.postgres import PostgresServer
from tests.lifecycle.asking import endings, said, texts, until
from tests.lifecycle.hosts import HASTY, Daemon, gone
from tests.lifecycle.work import Count, Film, Nap, Ticker

Outage: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
"""The database is away for the length of the block."""


@pytest.fixture
async def outage(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Outage]:
    if url.startswith("sqlite"):
        yield lambda: locked(urlsplit(url).path)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        yield lambda: stopped(server)


@asynccontextmanager
async def locked(path: str) -> AsyncGenerator[None]:
    """Another process holds the lock that every writer needs."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@asynccontextmanager
async def stopped(server: PostgresServer) -> AsyncGenerator[None]:
    await asyncio.to_thread(server.stop, immediate=True)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


@pytest.mark.fault("database: away for a while, shorter than the lease")
async def test_jobs_go_on_through_an_outage_and_nothing_that_they_said_is_lost(
    client: Client, url: str, tmp_path: Path, outage: Outage
) -> None:
    ticks_file = tmp_path / "ticks"
    with Daemon(tmp_path / "host", url) as daemon:
        ticker = await client.submit(Ticker(until=tmp_path / "enough", ticks=ticks_file))
        await said(ticker, "tick 3")
        async with outage():
            await daemon.says("tick failed")
            await daemon.says("writing again")
            ticks_then = len(ticks_file.read_text().split())
            await until(lambda: len(ticks_file.read_text().split()) > ticks_then + 20)
        (tmp_path / "enough").touch()

        ticks = await ticker.result(timeout=30)

        assert await texts(ticker) == [f"tick {number}" for number in range(ticks)]
        assert await endings(client, ticker) == [Ending.SUCCEEDED]
        await (await client.submit(Count())).result(timeout=20)


@pytest.mark.fault("database: away for longer than the lease, an end not yet written")
async def test_what_ended_before_the_lease_lapsed_is_kept_and_not_done_again(
    client: Client, url: str, tmp_path: Path, outage: Outage
) -> None:
    nap = await client.submit(Nap(until=tmp_path / "enough"))
    film = await client.submit(Film(path=tmp_path / "done", number=1, until=tmp_path / "go"))
    with Daemon(tmp_path / "host", url, **HASTY) as daemon:
        await said(nap, "napping")
        await said(film, "filming")
        programs = daemon.programs()
        async with outage():
            (tmp_path / "enough").touch()
            await gone(programs, within=20)
            (tmp_path / "go").touch()

        assert await nap.result(timeout=30) == "rested"
        await film.result(timeout=30)

    assert await endings(client, nap) == [Ending.SUCCEEDED]
    assert await endings(client, film) == [Ending.FORFEITED, Ending.SUCCEEDED]


@pytest.mark.fault("self-fencing: the database is away for longer than the lease")
async def test_an_outage_longer_than_the_lease_ends_the_trees_before_others_could_take_the_jobs(
    client: Client, url: str, tmp_path: Path, outage: Outage
) -> None:
    film = await client.submit(Film(path=tmp_path / "done", number=1, until=tmp_path / "go"))
    with Daemon(tmp_path / "host", url, **HASTY) as daemon:
        await said(film, "filming")
        programs = daemon.programs()
        assert len(programs) >= 3
        async with outage():
            await gone(programs, within=20)
            (tmp_path / "go").touch()

        await film.result(timeout=30)

    assert (tmp_path / "done").read_text() == "1\n"
    assert await endings(client, film) == [Ending.FORFEITED, Ending.SUCCEEDED]
