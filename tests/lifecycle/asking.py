"""What tests ask about jobs, and how they wait for an answer: always for an event, always with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from heavyjobs import Client, Handle
from heavyjobs.model import Ending, LogLine

DEADLINE_SECONDS: Final = 30.0

AnyHandle: TypeAlias = Handle[Any, Any, Any]


async def until(holds: Callable[[], bool | Awaitable[bool]], *, within: float = DEADLINE_SECONDS) -> None:
    """Look until it holds, or fail after the deadline."""
    deadline = time.monotonic() + within
    while not (await found if isinstance(found := holds(), Awaitable) else found):
        assert time.monotonic() < deadline, f"not true within {within} s"
        await asyncio.sleep(0.01)


async def said(handle: AnyHandle, text: str) -> LogLine:
    """Wait until the job has said that, in whichever invocation."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for line in handle.logs(follow=True):
            if line.text == text:
                return line
    raise AssertionError(f"it has ended without saying {text!r}")


async def texts(handle: AnyHandle, *, claim: int | None = None) -> list[str]:
    """All that it has said until now."""
    return [line.text async for line in handle.logs(claim=claim)]


async def endings(client: Client, handle: AnyHandle) -> Sequence[Ending | None]:
    """How its invocations ended, oldest first."""
    return [invocation.ending for invocation in await client.invocations(handle.id)]


async def ticked(client: Client, *, times: int = 2) -> None:
    """Wait until the coordinator has come round that often once more."""
    seen: list[int] = []

    async def went_on() -> bool:
        # A coordinator that has just begun need not be registered yet.
        seen.extend(now.tick for now in await client.coordinators())
        return bool(seen) and seen[-1] >= seen[0] + times

    await until(went_on)
