"""A request to stop between any two lines, without waiting for a signal to fall just there."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from heavyjobs.errors import CancelRequested
from heavyjobs.shielding import Shield
from heavyjobs.slots import wire

if TYPE_CHECKING:
    from _typeshed import TraceFunction


def interrupt(work: Callable[[Shield], None], *, at_line: int) -> bool:
    """Run work with a worker's real shield; when so many lines of Python have run, the request comes.

    Only lines of `work` count: in a `__del__` that the collector calls just then, Python drops whatever is raised.

    Returns:
        Whether it was raised: the work may have been done before, or be shielded to its end.
    """
    shield, left = wire.Shield(), at_line

    def trace(_frame: FrameType, event: str, _argument: object) -> TraceFunction:
        nonlocal left
        if event == "line":
            left -= 1
            if left == -1:
                shield.request()
        return trace

    shield.arm()
    gc.disable()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work(lambda: shield)
    except CancelRequested:
        return True
    finally:
        sys.settrace(before)
        gc.enable()
        shield.disarm()
    return False
