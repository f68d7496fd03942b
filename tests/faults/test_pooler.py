"""Everything works behind pgbouncer in transaction mode, which keeps no settings, statements or LISTEN; and it may fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heavyjobs import Client, JobCancelled
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import Ending, JobState
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.pooler import Pooler
from heavyjobs.testing.postgres import PostgresServer
from tests.faults.ordeal import ordeal, sound
from tests.lifecycle.asking import endings, said, texts
from tests.lifecycle.hosts import HASTY, Daemon, coordinating, gone
from tests.lifecycle.work import AsyncFamily, Count, Family, Film, Flaky, Nap
from tests.poolers import pooler


@pytest.fixture(scope="module")
def between(postgres: PostgresServer) -> Iterator[Pooler]:
    """Of few sessions, so that each is many clients'."""
    with pooler(postgres, settings={"default_pool_size": "4"}) as between:
        yield between


@pytest.fixture
def pooled(postgres_url: str, between: Pooler) -> str:
    return between.url_of(postgres_url.rpartition("/")[2])


@pytest.fixture(
    params=[
        pytest.param(True, marks=pytest.mark.fault("database: a pooler in transaction mode, with listen_url"), id="listen_url"),
        pytest.param(
            False, marks=pytest.mark.fault("database: a pooler in transaction mode, without listen_url"), id="polling"
        ),
    ]
)
def listen_url(request: pytest.FixtureRequest, postgres_url: str) -> str | None:
    return postgres_url if request.param else None


async def test_the_whole_life_of_jobs_behind_a_pooler(
    pooled: str, postgres_url: str, listen_url: str | None, tmp_path: Path
) -> None:
    options = StoreOptions(listen_url=listen_url)
    async with (
        Client.open(pooled, options=options, poll_seconds=0.2) as client,
        coordinating(pooled, listen_url=listen_url),
    ):
        handles = [
            await client.submit(job) for job in (Count(), Family(numbers=[1, 2]), AsyncFamily(numbers=[3]), Flaky(good_from=2))
        ]
        nap, dead = await client.submit(Nap()), await client.submit(Flaky(good_from=9))
        scheduled = await client.submit(Count(), delay="200ms")

        await said(nap, "napping")
        assert [line.text async for line in handles[0].logs(follow=True)] == await texts(handles[0])
        assert (await handles[0].result()).total == 3
        assert [await handle.result() for handle in handles[1:]] == [5, 9, 2]
        await scheduled.result()
        await nap.cancel()
        with pytest.raises(JobCancelled):
            await nap.result()
        assert (await dead.wait()) is not None
        assert (await dead.retry()).state is JobState.READY
        assert (await dead.wait()) is not None
        assert len(await client.invocations(dead.id)) == 6

    await sound(postgres_url, [*handles, nap, dead, scheduled])


async def test_the_jobs_of_a_killed_coordinator_are_done_by_another_behind_a_pooler(
    pooled: str, postgres_url: str, listen_url: str | None, tmp_path: Path
) -> None:
    async with Client.open(pooled, options=StoreOptions(listen_url=listen_url), poll_seconds=0.2) as client:
        film = await client.submit(Film(path=tmp_path / "done", number=1, until=tmp_path / "go"))
        with Daemon(tmp_path / "killed", pooled, listen_url=listen_url, **HASTY) as killed:
            await said(film, "filming")
            family = killed.family()
            killed.process.kill()
            await gone(family, within=30)
        (tmp_path / "go").touch()
        async with coordinating(pooled, listen_url=listen_url, **HASTY):
            await film.result(timeout=60)

        assert await endings(client, film) == [Ending.FORFEITED, Ending.SUCCEEDED]
    await sound(postgres_url, [film])


TROUBLES = [
    pytest.param(Pooler.restart, marks=pytest.mark.fault("database: the pooler restarted"), id="restart"),
    pytest.param(
        lambda between: between.command("RECONNECT"),
        marks=pytest.mark.fault("database: the pooler's sessions made anew, RECONNECT"),
        id="reconnect",
    ),
]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_what_the_pooler_loses_costs_no_job_anything(
    between: Pooler, pooled: str, postgres_url: str, tmp_path: Path, trouble: Callable[[Pooler], None]
) -> None:
    async with ordeal(pooled, tmp_path, directly=postgres_url, listen_url=postgres_url) as jobs:
        for _ in range(2):
            await asyncio.gather(jobs.submit(), asyncio.to_thread(trouble, between))


@pytest.mark.fault("database: the pooler paused")
async def test_a_paused_pooler_is_waited_for(between: Pooler, pooled: str, postgres_url: str, tmp_path: Path) -> None:
    async with ordeal(pooled, tmp_path, directly=postgres_url) as jobs:
        await asyncio.to_thread(between.command, "PAUSE")
        try:
            submitting = asyncio.create_task(jobs.submit())
            with pytest.raises(StoreUnavailable):
                await jobs.client.list(limit=1)
        finally:
            await asyncio.to_thread(between.command, "RESUME")
        await submitting


@pytest.mark.fault("database: the pooler kills all connections to a database, KILL")
async def test_a_database_killed_at_the_pooler_is_used_again_once_it_is_resumed(
    between: Pooler, pooled: str, postgres_url: str, tmp_path: Path
) -> None:
    async with ordeal(pooled, tmp_path, directly=postgres_url, listen_url=postgres_url) as jobs:
        name = pooled.rpartition("/")[2]
        await asyncio.to_thread(between.command, f"KILL {name}")
        submitting = asyncio.create_task(jobs.submit())
        await asyncio.to_thread(between.command, f"RESUME {name}")
        await submitting


@pytest.mark.fault("database: the server restarted behind the pooler")
async def test_a_server_restarted_behind_the_pooler_costs_no_job_anything(
    postgres: PostgresServer, pooled: str, postgres_url: str, tmp_path: Path
) -> None:
    async with ordeal(pooled, tmp_path, directly=postgres_url, listen_url=postgres_url) as jobs:
        await asyncio.gather(jobs.submit(), asyncio.to_thread(postgres.restart))
