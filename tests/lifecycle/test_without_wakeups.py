"""Wake-ups only make it faster: the core works with them switched off everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heavyjobs import Client, StoreOptions
from heavyjobs.model import Cancelled
from tests.lifecycle.asking import said
from tests.lifecycle.hosts import coordinating
from tests.lifecycle.work import AsyncFamily, Count, Counted, Flaky, Nap, Nest, Square


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with Client.open(url, options=StoreOptions(notify=False), poll_seconds=0.1) as client:
        yield client


@pytest.fixture(autouse=True)
async def coordinator(url: str) -> AsyncIterator[None]:
    async with coordinating(url, notify=False):
        yield


async def test_jobs_are_run_retried_scheduled_and_awaited(client: Client) -> None:
    count = await client.submit(Count())
    flaky = await client.submit(Flaky(good_from=2))
    later = await client.submit(Square(number=3), delay="200ms")

    assert await count.result(timeout=20) == Counted(total=3)
    assert await flaky.result(timeout=20) == 2
    assert await later.result(timeout=20) == 9


async def test_families_wait_for_each_other(client: Client) -> None:
    nest, family = await client.submit(Nest(levels=2)), await client.submit(AsyncFamily(numbers=[1, 2]))

    assert [await nest.result(timeout=20), await family.result(timeout=20)] == [2, 5]


async def test_logs_are_followed_and_jobs_cancelled(client: Client, tmp_path: Path) -> None:
    handle = await client.submit(Nap(until=tmp_path / "never"))
    await said(handle, "napping")

    async with asyncio.timeout(10):
        assert await handle.cancel() == Cancelled()
