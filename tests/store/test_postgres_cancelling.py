"""A cancel gets through a verb whatever a library between makes of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from heavyjobs.store.postgres.limiting import cancellable


async def swallowing() -> None:
    with cancellable(), suppress(asyncio.CancelledError):
        await asyncio.sleep(60)


async def test_a_cancel_that_a_library_swallowed_is_raised_at_the_end_of_the_verb() -> None:
    task = asyncio.create_task(swallowing())
    await asyncio.sleep(0)

    task.cancel()

    await asyncio.wait([task], timeout=10)
    assert task.cancelled()


async def test_a_timeout_inside_a_verb_is_no_cancel() -> None:
    with cancellable(), suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
