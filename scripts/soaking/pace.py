"""The clock of a plan: it stands still while as many jobs are under way as may be.

So jobs and faults keep to each other however slow the machine is, and what a fault has held up is worked off before the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from soaking.witness import now

LOOK_SECONDS: Final = 0.1


class Pace:
    """Goes from when it is made."""

    def __init__(self) -> None:
        self._began: Final = now()
        self._stood_seconds = 0.0
        self._stands_since: float | None = None

    @property
    def now(self) -> float:
        """Seconds of the plan that have passed."""
        return (self._stands_since or now()) - self._began - self._stood_seconds

    async def until(self, at: float) -> None:
        """Wait for that time of the plan."""
        while (left := at - self.now) > 0:  # noqa: ASYNC110 - time is nothing that an event could tell
            await asyncio.sleep(min(left, LOOK_SECONDS))

    @contextmanager
    def stopped(self) -> Generator[None]:
        """It stands still for the length of the block."""
        self._stands_since = now()
        try:
            yield
        finally:
            self._stood_seconds += now() - self._stands_since
            self._stands_since = None
