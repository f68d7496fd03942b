"""A warm worker for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import start


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
