"""The last one out: what forks the workers ends with its coordinator, and takes with it what that has left.

The guardian does so earlier and better, where it lives. This is for when it was killed with the coordinator: the kernel
then ends the workers and their programs (`heavyjobs.lifeline`), but not what has left its group, and no scratch.
"""

from __future__ import annotations

import atexit
import os
import time
from typing import Final

from heavyjobs.processes import COORDINATOR_MARK
from heavyjobs.slots.tree import Root, end_left_by, find

GONE_SECONDS: Final = 2.0
"""How long a dying coordinator may be there after its pipes are closed."""


def sweep_at_exit() -> None:
    """Have this process sweep, as it ends, after the coordinator that its environment names, if that is gone by then."""
    if (mark := os.environ.get(COORDINATOR_MARK)) is None:
        return
    pid, started = mark.split()
    coordinator = Root(int(pid), float(started), "")
    atexit.register(_sweep, os.getpid(), coordinator)


def _sweep(process: int, coordinator: Root) -> None:
    if os.getpid() != process:
        return  # a child of it, that a job has forked
    deadline = time.monotonic() + GONE_SECONDS
    while find(coordinator) is not None:
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
    end_left_by(coordinator.pid, coordinator.started)
