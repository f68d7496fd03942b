"""A warm worker for each test, or two that are replaced when they go."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import start
from tests.slots.keeping import Keeper


@pytest.fixture
async def worker() -> AsyncIterator[WorkerProcess]:
    """For `def run`."""
    worker = await start()
    yield worker
    await worker.end()


@pytest.fixture
async def lane() -> AsyncIterator[WorkerProcess]:
    """For `async def run`."""
    worker = await start(lane=True)
    yield worker
    await worker.end()


@pytest.fixture
async def keeper() -> AsyncIterator[Keeper]:
    """Both are idle."""
    keeper = Keeper()
    await keeper.idle(2)
    yield keeper
    await keeper.close()
