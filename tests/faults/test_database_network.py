"""The network between everyone and the database drops, delays, tears, half closes and freezes connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.testing.proxy import FaultyProxy, Way
from tests.faults.ordeal import ordeal
from tests.lifecycle.asking import until

Blow = Callable[[FaultyProxy], None]


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(postgres_url) as proxy:
        yield proxy


BLOWS = [
    pytest.param(FaultyProxy.drop, marks=pytest.mark.fault("database: connections dropped"), id="drop"),
    pytest.param(FaultyProxy.reset, marks=pytest.mark.fault("database: connections reset"), id="reset"),
    pytest.param(
        lambda proxy: proxy.tear(Way.TO_SERVER),
        marks=pytest.mark.fault("database: connections reset in the middle of a question"),
        id="half a question",
    ),
    pytest.param(
        lambda proxy: proxy.tear(Way.TO_CLIENT),
        marks=pytest.mark.fault("database: connections reset in the middle of an answer"),
        id="half an answer",
    ),
    pytest.param(
        lambda proxy: proxy.half_close(Way.TO_SERVER),
        marks=pytest.mark.fault("database: connections closed towards the server alone"),
        id="server half closed",
    ),
    pytest.param(
        lambda proxy: proxy.half_close(Way.TO_CLIENT),
        marks=pytest.mark.fault("database: connections closed towards the client alone"),
        id="client half closed",
    ),
]


@pytest.mark.parametrize("blow", BLOWS)
async def test_blows_to_all_connections_lose_nothing(proxy: FaultyProxy, postgres_url: str, tmp_path: Path, blow: Blow) -> None:
    async with ordeal(proxy.url, tmp_path, directly=postgres_url) as jobs:
        for _ in range(3):
            submitting = asyncio.create_task(jobs.submit())
            for _ in range(3):
                await _hit(proxy, blow, submitting)
            await submitting


async def _hit(proxy: FaultyProxy, blow: Blow, submitting: asyncio.Task[Any]) -> None:
    """One blow, and wait until somebody has connected anew, whom the next one is for."""
    old = set(proxy.links)
    blow(proxy)
    await until(lambda: submitting.done() or not old.issuperset(proxy.links))


@pytest.mark.fault("database: every answer late")
async def test_a_slow_network_only_slows(proxy: FaultyProxy, postgres_url: str, tmp_path: Path) -> None:
    async with ordeal(proxy.url, tmp_path, directly=postgres_url) as jobs:
        proxy.delay(to_server=0.02, to_client=0.02)
        await jobs.work()
        proxy.delay()


@pytest.mark.fault("database: new connections refused while the old are lost")
async def test_refused_connections_are_tried_again_until_they_are_let_in(
    proxy: FaultyProxy, postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with ordeal(proxy.url, tmp_path, directly=postgres_url) as jobs:
        proxy.refuse()
        proxy.drop()
        submitting = asyncio.create_task(jobs.submit())
        await until(lambda: "Connection refused" in caplog.text and not proxy.links)
        await proxy.accept()
        await submitting


@pytest.mark.fault("database: half open, the network is silent")
async def test_a_silent_network_is_noticed_and_new_connections_are_made(
    proxy: FaultyProxy, postgres_url: str, tmp_path: Path
) -> None:
    """The old connections never say a word again; only new ones are heard."""
    async with ordeal(proxy.url, tmp_path, directly=postgres_url) as jobs:
        for link in proxy.links:
            proxy.freeze(lambda one, link=link: one is link)  # type: ignore[misc]

        await jobs.work()


@pytest.mark.fault("database: nothing passes for a while, then everything does")
async def test_what_was_held_back_and_comes_late_does_no_harm(proxy: FaultyProxy, postgres_url: str, tmp_path: Path) -> None:
    async with ordeal(proxy.url, tmp_path, directly=postgres_url) as jobs:
        proxy.freeze()
        submitting = asyncio.create_task(jobs.submit())
        # By then the client has given up what it asked first, which is held back, and asks again.
        await until(lambda: jobs.tries > 1)
        proxy.thaw()
        await submitting
