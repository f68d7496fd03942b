"""What a worker took of its coordinator is given back when it dies, and not when the garbage is next collected."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import psutil
import pytest

from tests.lifecycle.asking import until
from tests.slots.ears import start


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("lane", [False, True])
async def test_workers_that_died_leave_no_descriptor_behind(lane: bool) -> None:
    await (await start(lane=lane)).end()
    before = psutil.Process().num_fds()

    for _ in range(3):
        await (await start(lane=lane)).end()

    await until(lambda: psutil.Process().num_fds() <= before)
