"""The last one out: what forks the workers ends with its coordinator, and takes with it what that has left.

The guardian does so earlier and better, where it lives. This is for when it was killed with the coordinator: the kernel
then ends the workers and their programs (`heavyjobs.lifeline`), but not what has left its group, and no file.
"""

from __future__ import annotations

import atexit
import os
import shutil
import time
from typing import Final

from heavyjobs.processes import COORDINATOR_MARK
from heavyjobs.slots.tree import Root, end_left_by, find

SOCKETS: Final = "HEAVYJOBS_SOCKETS"
"""The variable that names the folder where multiprocessing's sockets are, which goes with the coordinator."""

GONE_SECONDS: Final = 2.0
"""How long a dying coordinator may be there after its pipes are closed."""


def sweep_at_exit() -> None:
    """Have this process sweep, as it ends, after the coordinator that its environment names, if that is gone by then."""
    folder, mark = os.environ.pop(SOCKETS, None), os.environ.get(COORDINATOR_MARK)
    if mark is None:
        return
    pid, started = mark.split()
    coordinator = Root(int(pid), float(started), "")
    atexit.register(_sweep, os.getpid(), coordinator, folder)


def _sweep(process: int, coordinator: Root, folder: str | None) -> None:
    if os.getpid() != process:
        return  # a child of it, that a job has forked
    deadline = time.monotonic() + GONE_SECONDS
    while find(coordinator) is not None:
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
    end_left_by(coordinator.pid, coordinator.started)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
