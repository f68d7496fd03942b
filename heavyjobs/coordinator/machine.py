"""The machine that a coordinator runs on: all that it knows of the world beside its store, in one place.

The simulation (`tests/simulation/`) puts another in its place, where time is virtual and processes are scripts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from heavyjobs.coordinator.host import is_gone, is_stopped, new_session
from heavyjobs.coordinator.lease import Lease
from heavyjobs.events import WorkerOptions
from heavyjobs.model import Session
from heavyjobs.scratch import sweep_after_the_dead
from heavyjobs.slots import forking
from heavyjobs.slots.bill import Sample, out_of_memory_kills, sample
from heavyjobs.slots.guardian import Guardian, boot_seconds
from heavyjobs.slots.pool import start_worker
from heavyjobs.slots.probe import Asked, Probed, probe
from heavyjobs.slots.process import WorkerProcess
from heavyjobs.slots.tree import Root, adopt_orphans, end, end_left_by
from heavyjobs.store.records import SessionSeen


class Machine:
    """The real one."""

    # -- time, and who is here

    def now(self) -> float:
        """Seconds on a clock that counts sleep, and that no wall clock moves."""
        return boot_seconds()

    def session(self, name: str) -> Session:
        """A fresh session of this process."""
        return new_session(name)

    def is_gone(self, other: SessionSeen, *, here: Session) -> bool:
        """Whether a session's process is known to be gone."""
        return is_gone(other, here=here)

    def is_helpless(self, other: SessionSeen, *, here: Session) -> bool:
        """Whether a session's process is known to be gone or stopped: what it has started, it cannot end."""
        return self.is_gone(other, here=here) or is_stopped(other, here=here)

    # -- processes

    async def probe(self, asked: Asked) -> Probed:
        """Learn which job types there are; from now on this process hears of the orphans below it."""
        adopt_orphans()
        return await probe(asked)

    def guardian(self) -> Guardian:
        return Guardian()

    def lease(self, seconds: float, guardian: Guardian, *, on_lapse: Callable[[], None]) -> Lease:
        return Lease(seconds, guardian, on_lapse=on_lapse)

    async def start_worker(
        self, name: str, options: WorkerOptions, guardian: Guardian, *, preload: tuple[str, ...], lane: bool
    ) -> WorkerProcess:
        """Start a worker that the guardian watches."""
        return await start_worker(name, options, guardian, preload=preload, lane=lane)

    def continue_forking(self) -> Sequence[int]:
        """Have what forks workers go on, where it was stopped; the processes that were. Only it hears of deaths of workers."""
        return forking.go_on()

    def end(self, *roots: Root, seconds: float) -> None:
        """End these trees, in so many seconds at most; may be called in any thread."""
        end(*roots, seconds=seconds)

    async def sweep_after_the_dead(self) -> None:
        """Remove the scratch of coordinators of this machine that were killed with all that could have done so."""
        await asyncio.to_thread(sweep_after_the_dead)

    async def end_left_by(self, gone: SessionSeen) -> None:
        """End what a coordinator of this host has left running whose process is gone, or stopped."""
        await asyncio.to_thread(end_left_by, gone.pid, gone.pid_started)

    # -- memory

    async def sample(self, pids: Iterable[int]) -> Mapping[int, Sample]:
        """What the trees below these workers use."""
        return await asyncio.to_thread(sample, [*pids])

    def out_of_memory_kills(self) -> int:
        """How often the kernel has killed for lack of memory since it started."""
        return out_of_memory_kills()
