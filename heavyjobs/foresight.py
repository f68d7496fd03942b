"""Foresee, inside a job that ends, whether it will run again: whether what it has made so far is of use to anybody. Pure.

The coordinator decides that a moment later (`coordinator.verdict`, `model.after`); a test holds this against it. Where it
cannot be known the answer is yes: something too much may be left then, and nothing of use is lost.
"""

from __future__ import annotations

import asyncio
from typing import Final

from heavyjobs.errors import CancelRequested, ClaimLost, HeavyjobsError
from heavyjobs.events import Stop

_HANDED_BACK: Final = {Stop.DRAIN, Stop.NEIGHBOUR, Stop.LOST}
"""After these another takes the job, however few attempts are left: they cost none."""


def runs_again(error: BaseException, *, stop: Stop | None, retry: bool | None, last: bool) -> bool:
    """Whether a job that this error leaves will run again.

    Args:
        stop: why it was asked to stop, if it was and that is known.
        retry: whether its own typed error may be tried again; None when it fails with none.
        last: it is the last attempt.
    """
    if stop is Stop.CANCEL or retry is False or (isinstance(error, HeavyjobsError) and error.final):
        return False
    if isinstance(error, ClaimLost) or (stop in _HANDED_BACK and retry is None):
        return True
    if stop is None and isinstance(error, CancelRequested | asyncio.CancelledError):
        return True
    return not last
