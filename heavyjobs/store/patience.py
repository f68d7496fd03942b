"""How to wait for a database that is away: a little at first, longer each time, never in step with others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from heavyjobs.errors import StoreUnavailable

T = TypeVar("T")

FIRST_SECONDS: Final = 0.1
MOST_SECONDS: Final = 5.0
TRIES: Final = 5
"""With the waits between them a little over 1 s, plus what the store itself waits in each call."""


class Patience:
    """The waits between tries at something that fails; doubled each time up to `most_seconds`, then half to all of that."""

    def __init__(self, *, first_seconds: float = FIRST_SECONDS, most_seconds: float = MOST_SECONDS) -> None:
        self._first_seconds: Final = first_seconds
        self._most_seconds: Final = most_seconds
        self._next_seconds = first_seconds

    async def wait(self) -> None:
        seconds = self._next_seconds * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing
        self._next_seconds = min(self._next_seconds * 2, self._most_seconds)
        await asyncio.sleep(seconds)

    def renew(self) -> None:
        """It worked: the next wait is short again."""
        self._next_seconds = self._first_seconds


async def repeated(call: Callable[[], Awaitable[T]], *, tries: int = TRIES) -> T:
    """Call until the store answers; only for what may be repeated.

    Raises:
        StoreUnavailable: of the last of `tries`.
    """
    patience = Patience()
    for _ in range(tries - 1):
        try:
            return await call()
        except StoreUnavailable:
            await patience.wait()
    return await call()
