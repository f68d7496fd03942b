"""Connections that never answer again: others are made instead, in time, and none is missing afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from heavyjobs import Client
from heavyjobs.errors import StoreUnavailable
from heavyjobs.store.postgres import PostgresStore
from heavyjobs.store.records import StoreOptions, Topic
from heavyjobs.testing.contract.harness import register, submit
from heavyjobs.testing.proxy import FaultyProxy, Link
from tests.lifecycle.asking import until
from tests.lifecycle.hosts import coordinating
from tests.lifecycle.work import Echo

SECONDS = 60.0


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(postgres_url) as proxy:
        yield proxy


@pytest.mark.fault("database: one connection lost while the idle ones beside it are silent")
async def test_connections_that_went_silent_in_the_pool_are_not_missing_from_it_for_ever(proxy: FaultyProxy) -> None:
    async with PostgresStore(proxy.url, StoreOptions(timeout_seconds=1.0)) as store, asyncio.timeout(SECONDS):
        [job] = await submit(store)
        for _ in range(2):
            await until(lambda: _all_answer(store, proxy))
            lost, *silent = proxy.links
            proxy.freeze(silent.__contains__)
            lost.drop()
            with suppress(StoreUnavailable):
                await store.get(job)

        await until(lambda: _all_answer(store, proxy))


async def _all_answer(store: PostgresStore, proxy: FaultyProxy) -> bool:
    """Whether the pool has all its four connections, and none of them is silent."""
    for link in proxy.links:
        if not link.flowing.is_set():
            link.drop()  # what the pool has given up it has closed, but nothing passes to say so
    with suppress(StoreUnavailable):
        await asyncio.gather(*(submit(store) for _ in range(20)))
    return len(proxy.links) == 4


@pytest.mark.fault("database: the connection of the ticks goes silent")
async def test_a_tick_on_a_silent_connection_is_given_on_another_within_the_same_call(proxy: FaultyProxy) -> None:
    """Were the whole time for a call spent on the silent one, two such calls would outlast the lease."""
    async with PostgresStore(proxy.url, StoreOptions(timeout_seconds=18.0)) as store:
        session = await register(store)
        await store.tick(session, [])
        proxy.freeze(proxy.links.__contains__)

        assert (await store.tick(session, [])).number in {2, 3}


@pytest.mark.fault("database: all connections silent for good, the server reachable")
async def test_a_call_on_a_silent_connection_is_made_on_another_once_the_listener_has_found_that_one_answers(
    proxy: FaultyProxy,
) -> None:
    """Alone it would wait for its whole time."""
    async with PostgresStore(proxy.url, StoreOptions(timeout_seconds=45.0)) as store, store.wakeups([Topic.READY]):
        [job] = await submit(store)
        proxy.freeze(proxy.links.__contains__)

        assert await store.get(job) is not None


@pytest.mark.fault("database: the listener's backend killed alone")
@pytest.mark.parametrize(
    "silent", [False, pytest.param(True, marks=pytest.mark.fault("database: the listener goes silent alone"))]
)
async def test_a_listener_that_died_or_went_silent_is_replaced_and_hears_again(proxy: FaultyProxy, silent: bool) -> None:
    """Nobody polls, so without the listeners of both nobody would know of the jobs that are submitted, nor of their ends."""
    struck: set[Link] = set()
    async with (
        Client.open(proxy.url, poll_seconds=600) as client,
        coordinating(proxy.url, poll_every="10m", lease="60s", forfeit_after="2m"),
        asyncio.timeout(SECONDS),
    ):
        await (await client.submit(Echo(text="before"))).result()
        for number in range(2):
            await until(lambda: len([link for link in proxy.links if link.listens and link not in struck]) == 2)
            struck.update(link for link in proxy.links if link.listens)
            if silent:
                proxy.freeze(struck.__contains__)
            else:
                proxy.drop(struck.__contains__)

            assert await (await client.submit(Echo(text=f"after {number}"))).result() == f"after {number}"
