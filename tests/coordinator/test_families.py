"""Waiting for children ends with the invocation, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from heavyjobs.coordinator.families import _unless
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import JobRecord


async def test_a_database_that_goes_away_while_a_wait_is_given_up_is_no_error_left_behind() -> None:
    left: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: left.append(context))
    over = asyncio.Event()
    waiting = asyncio.create_task(_unless(over, away_when_cancelled()))
    await asyncio.sleep(0)

    over.set()
    given = await waiting
    del waiting
    gc.collect()

    assert given is None
    assert left == []


async def away_when_cancelled() -> Mapping[UUID, JobRecord]:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise StoreUnavailable("the database is away") from None
    return {}
