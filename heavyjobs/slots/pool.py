"""Keep as many warm workers as wanted, so that a job finds one waiting and a kill costs the next job nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import ceil
from typing import Final, Protocol
from uuid import uuid4

from heavyjobs.events import WorkerOptions
from heavyjobs.slots.guardian import Guardian
from heavyjobs.slots.process import WorkerProcess
from heavyjobs.slots.starting import NotStarted
from heavyjobs.waiting import first_of

_RETRY_SECONDS: Final = 1.0
WARM_SECONDS: Final = 30.0
"""Within so long a worker has to say that it can take work: nearly all that takes time was done before it was forked."""

PING_SECONDS: Final = 1.0
BLOCKED_AFTER_SECONDS: Final = 5.0
"""Without an answer to a ping for so long, a step holds up the lane."""

BLOCKED_GRACE_SECONDS: Final = 10.0
"""How long it may go on doing so after its stacks were dumped."""


class Start(Protocol):
    """Starts a worker and has the guardian watch it; usually `start_worker`."""

    def __call__(
        self, name: str, options: WorkerOptions, guardian: Guardian, /, *, preload: tuple[str, ...], lane: bool
    ) -> Awaitable[WorkerProcess]: ...


class Pool:
    """Workers for `def run`, each for one invocation at a time.

    What it guarantees
    - every worker is known to the guardian from its start until its tree is gone;
    - a worker that died, was worn or set aside is replaced, as long as there are fewer than `target`.

    Args:
        on_stillborn: told why, when one died or stood still before it could take work; another is tried after a rest.
    """

    def __init__(
        self,
        options: WorkerOptions,
        guardian: Guardian,
        *,
        preload: tuple[str, ...],
        on_idle: Callable[[], None],
        on_stillborn: Callable[[str], None],
        target: int,
        start: Start | None = None,
    ) -> None:
        self._options = options
        self._guardian = guardian
        self._preload = preload
        self._on_idle = on_idle
        self._on_stillborn = on_stillborn
        self._target = target
        self._start = start or start_worker
        self._idle: list[WorkerProcess] = []
        self._all: dict[str, WorkerProcess] = {}
        self._numbers = itertools.count(1)
        self._lacking = asyncio.Event()
        self._lacking.set()
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> int:
        """Warm workers that wait for work."""
        self._idle = [worker for worker in self._idle if worker.usable]
        return len(self._idle)

    @property
    def workers(self) -> tuple[WorkerProcess, ...]:
        return tuple(self._all.values())

    def want(self, target: int) -> None:
        """Have at least that many workers, busy ones included; more are let go as they fall idle."""
        self._target = target
        self._lacking.set()

    def take(self) -> WorkerProcess:
        """A warm worker; only when `idle` says there is one. The one used last, whose memory is warmest."""
        return self._idle.pop()

    def give_back(self, worker: WorkerProcess, *, worn: bool) -> None:
        """Its invocation has ended."""
        if worker.over.is_set():
            return
        if worn or len(self._all) > self._target:
            self._let_go(worker)
        else:
            self._idle.append(worker)
        self._on_idle()

    async def tend(self) -> None:
        """Start workers as they are lacking, one after the other; runs until cancelled."""
        while True:
            await self._lacking.wait()
            self._lacking.clear()
            while len(self._all) < self._target:
                if not await self._start_one():
                    await asyncio.sleep(_RETRY_SECONDS)

    async def _start_one(self) -> bool:
        name = f"slot {next(self._numbers)}"
        try:
            worker = await self._start(name, self._options, self._guardian, preload=self._preload, lane=False)
        except NotStarted as error:
            self._on_stillborn(str(error))
            return False
        self._all[name] = worker
        task = asyncio.create_task(self._watch(worker), name=f"watching {name}")
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        if not await _warms(worker, self._on_stillborn):
            return False
        self._idle.append(worker)
        self._on_idle()
        return True

    async def _watch(self, worker: WorkerProcess) -> None:
        await worker.over.wait()
        self._guardian.forget(worker.root)
        self._all.pop(worker.name, None)
        if worker in self._idle:
            self._idle.remove(worker)
        self._lacking.set()

    def _let_go(self, worker: WorkerProcess) -> None:
        self._all.pop(worker.name, None)
        self._lacking.set()
        task = asyncio.create_task(_end(worker), name=f"ending {worker.name}")
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def close(self) -> None:
        """End all workers, busy ones too, and wait until their trees are gone."""
        self._target = 0
        await asyncio.gather(*(worker.end() for worker in self.workers))
        await asyncio.gather(*self._watching)


class LaneKeeper:
    """The worker for `async def` jobs: one, started when the first such job is there, and again after it has gone.

    Args:
        on_warm: called when it can take jobs; on_stillborn as for `Pool`.
    """

    def __init__(
        self,
        options: WorkerOptions,
        guardian: Guardian,
        *,
        preload: tuple[str, ...],
        on_warm: Callable[[], None],
        on_stillborn: Callable[[str], None],
        start: Start | None = None,
    ) -> None:
        self._options = options
        self._guardian = guardian
        self._preload = preload
        self._on_warm = on_warm
        self._on_stillborn = on_stillborn
        self._start = start or start_worker
        self._worker: WorkerProcess | None = None
        self._wanted = asyncio.Event()

    @property
    def worker(self) -> WorkerProcess | None:
        """The lane, when it is warm; asking for it has it started."""
        if self._worker is not None and self._worker.usable:
            return self._worker
        self._wanted.set()
        return None

    @property
    def workers(self) -> tuple[WorkerProcess, ...]:
        """The lane, warm or not, if there is one; may be asked in any thread."""
        return () if self._worker is None or self._worker.over.is_set() else (self._worker,)

    async def tend(self) -> None:
        """Keep it alive, and end it when a step has held it up for too long; runs until cancelled."""
        while True:
            await self._wanted.wait()
            try:
                worker = await self._start("lane", self._options, self._guardian, preload=self._preload, lane=True)
            except NotStarted as error:
                self._on_stillborn(str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._worker = worker
            if await _warms(worker, self._on_stillborn):
                self._on_warm()
            while not await first_of(worker.over, seconds=PING_SECONDS):
                worker.ping()
                if worker.silent_seconds > BLOCKED_AFTER_SECONDS:
                    await self._unblock(worker)
            self._guardian.forget(worker.root)
            self._wanted.clear()
            self._on_warm()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _unblock(self, worker: WorkerProcess) -> None:
        """Dump the stacks, and end it unless it answers within the grace; once it does, it is as any other."""
        worker.blame()
        worker.dump()
        now = asyncio.get_running_loop().time
        began = now()
        for _ in range(ceil(BLOCKED_GRACE_SECONDS / PING_SECONDS)):
            worker.ping()
            if await first_of(worker.over, seconds=PING_SECONDS) or worker.silent_seconds < now() - began:
                return
        await worker.end()

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.end()
            self._guardian.forget(self._worker.root)


async def start_worker(
    name: str, options: WorkerOptions, guardian: Guardian, *, preload: tuple[str, ...], lane: bool
) -> WorkerProcess:
    """Start a worker with a marker of its own, and have the guardian watch it.

    Raises:
        NotStarted: try again.
    """
    own = replace(options, marker=f"{options.marker}-{uuid4().hex[:12]}")
    worker = await WorkerProcess.start(name, own, preload=preload, lane=lane, lifeline=guardian.lifeline)
    guardian.watch(worker.root)
    return worker


async def _warms(worker: WorkerProcess, on_stillborn: Callable[[str], None]) -> bool:
    """Wait until it can take work; one that does not come that far is told, and ended if it is there still."""
    if not await first_of(worker.warm, worker.over, seconds=WARM_SECONDS):
        on_stillborn(f"{worker.name} was not ready within {WARM_SECONDS:g} s, and is ended: {worker.first_words}")
        await worker.end()
    elif not worker.warm.is_set():
        on_stillborn(f"{worker.name} died as it began: {worker.first_words}")
    return worker.usable


async def _end(worker: WorkerProcess) -> None:
    await worker.end()
