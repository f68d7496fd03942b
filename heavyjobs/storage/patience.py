"""Trouble that passes: a call is made again after a while, a bounded number of times; and a limit on how fast bytes move."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from loguru import logger

from heavyjobs.storage.failures import Unreachable

T = TypeVar("T")

TRIES: Final = 7
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 30.0


def wait_before(attempt: int, *, luck: float) -> float:
    """Seconds before the try of that number, from 2; `luck` is from 0 to 1, so that many do not come back at once."""
    longest = min(FIRST_WAIT_SECONDS * 2.0 ** (attempt - 2), LONGEST_WAIT_SECONDS)
    return longest * (0.5 + 0.5 * luck)


def patiently(call: Callable[[], T], *, pause: Callable[[float], None]) -> T:
    """What the call gives, which is made again as long as the place is `Unreachable`.

    Raises:
        Unreachable: as the last try said it.
    """
    for attempt in range(2, TRIES + 1):
        try:
            return call()
        except Unreachable as failed:
            wait = wait_before(attempt, luck=random.random())  # noqa: S311 - spreads, does not protect
            logger.warning("{}: {}; try {} of {} in {:.1f} s", failed.where, failed.what, attempt, TRIES, wait)
            pause(wait)
    return call()


class Pace:
    """At most so many bytes a second, over all threads; None for as fast as it goes."""

    def __init__(self, bytes_per_second: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate: Final = bytes_per_second
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._free_at = clock()

    def owed(self, count: int) -> float:
        """For how many seconds to wait before `count` bytes may move."""
        if self._rate is None:
            return 0.0
        with self._lock:
            now = self._clock()
            wait = max(self._free_at - now, 0.0)
            self._free_at = max(self._free_at, now) + count / self._rate
            return wait
