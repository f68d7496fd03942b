"""One session: from its registration until it has drained, or was fenced.

                  wake-ups ──▶ claiming ──▶ Dispatch ◀──▶ workers (slots, lane)
                                  ▲             │ news, ends
    scheduling ── due jobs ready ─┘             ▼
    ticking ── cancels, lost claims, drain    Relay ──▶ store
       └──▶ silence ── forfeits

What it guarantees
- when `work` has returned or raised, no process that it started is left, and it holds nothing that another could not take;
- nothing that a job does can delay a tick: no user code runs here, and every loop takes bounded bites.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, Final
from uuid import UUID

from heavyjobs.coordinator import journal
from heavyjobs.coordinator.claiming import Claiming
from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.coordinator.families import Families
from heavyjobs.coordinator.machine import Machine
from heavyjobs.coordinator.relay import Relay
from heavyjobs.coordinator.tending import Tending
from heavyjobs.coordinator.ticking import Ticking
from heavyjobs.errors import StoreUnavailable
from heavyjobs.events import Confinement, WorkerOptions
from heavyjobs.model import Session
from heavyjobs.processes import name_of, started_at
from heavyjobs.settings import Settings
from heavyjobs.slots.pool import LaneKeeper, Pool
from heavyjobs.slots.probe import Probed
from heavyjobs.store.patience import Patience
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Topic, WakeUp
from heavyjobs.store.watching import Watcher
from heavyjobs.waiting import first_of

PROMOTE_LIMIT: Final = 1000


class Work:
    """One session's work. Made for each session anew.

    Args:
        predecessors: own earlier sessions, which this one forfeits as soon as it sees them.
        draining: set by whoever wants it to stop; `hurry` when for the second time.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        session: Session,
        probed: Probed,
        machine: Machine,
        confinement: Confinement,
        *,
        predecessors: frozenset[UUID],
        draining: asyncio.Event,
        hurry: asyncio.Event,
    ) -> None:
        host = settings.coordinator
        self._store = store
        self._session = session
        self._host = host
        self._machine = machine
        self._draining = draining
        self._hurry = hurry
        self._claim_now, self._schedule_now, self._tick_now = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._guardian = machine.guardian()
        self._lease = machine.lease(host.lease, self._guardian, on_lapse=self._lapse)
        self._watcher = Watcher(store)
        options, preload = _worker_options(settings, confinement), probed.preload
        self._pool = Pool(
            options,
            self._guardian,
            preload=preload,
            on_idle=self._on_worker,
            on_stillborn=_tell_stillborn,
            target=self._workers_wanted(parked=0),
            start=machine.start_worker,
        )
        self._lane = LaneKeeper(
            options,
            self._guardian,
            preload=preload,
            on_warm=self._on_worker,
            on_stillborn=_tell_stillborn,
            start=machine.start_worker,
        )
        self._relay = Relay(store, session.id)
        self._dispatch = Dispatch(
            pool=self._pool,
            lane=self._lane,
            relay=self._relay,
            lease=self._lease,
            families=Families(store, session.id, self._watcher, self._lease, waits_changed=self._waits_changed),
            on_lane=frozenset(kind for kind, seen in probed.kinds.items() if seen.waits),
            log_bytes=host.log_bytes,
            spawn=self._spawn,
            room=self._claim_now.set,
            out_of_memory_kills=machine.out_of_memory_kills,
        )
        self._claiming = Claiming(
            store,
            session,
            self._dispatch,
            self._pool,
            self._lease,
            kinds=probed.kinds,
            host=host,
            draining=draining,
            now=self._claim_now,
        )
        self._ticking = Ticking(
            store,
            session,
            self._dispatch,
            self._lease,
            machine,
            host=host,
            predecessors=predecessors,
            draining=draining,
            now=self._tick_now,
            spawn=self._spawn,
            forfeited=self._work_may_be_there,
        )
        self._tending = Tending(self._dispatch, self._guardian, machine, spawn=self._spawn)

    async def work(self) -> None:
        """Work until drained.

        Raises:
            SessionFenced: another coordinator has declared this session dead, or its lease has lapsed; its trees are gone.
        """
        self._guardian.start()
        try:
            with self._lease:
                await self._store.register(self._session)
                self._say_hello()
                async with self._watcher, asyncio.TaskGroup() as self._group:
                    claiming = self._group.create_task(self._claiming.run(), name="claiming")
                    loops = [
                        self._group.create_task(self._ticking.run(), name="ticking"),
                        self._group.create_task(self._relay.run(self._dispatch.settled), name="relaying"),
                        self._group.create_task(self._schedule(), name="scheduling"),
                        self._group.create_task(self._listen(), name="listening"),
                        self._group.create_task(self._tending.run(), name="tending"),
                        self._group.create_task(self._pool.tend(), name="tending the slots"),
                        self._group.create_task(self._lane.tend(), name="tending the lane"),
                    ]
                    await self._drained(claiming)
                    for loop in loops:
                        loop.cancel()
                await self._store.end_session(self._session.id)
        finally:
            self._group = None
            # Workers first: with one alive the interpreter would wait for it at its end, whatever the executor is told.
            await self._pool.close()
            await self._lane.close()
            self._guardian.stop()

    async def _drained(self, claiming: asyncio.Task[None]) -> None:
        """Wait for the request to stop, then until all work has ended or was handed back."""
        await self._draining.wait()
        journal.say("draining", running=len(self._dispatch.running), seconds=self._host.drain)
        await claiming
        await first_of(self._dispatch.empty, self._hurry, seconds=self._host.drain)
        while not self._dispatch.empty.is_set():
            hurry = self._hurry.is_set()
            self._dispatch.hand_back(hurry=hurry)
            await first_of(self._dispatch.empty, *([] if hurry else [self._hurry]), seconds=1.0)

    # -- the rest of the clockwork

    async def _schedule(self) -> None:
        patience = Patience()
        while True:
            self._schedule_now.clear()
            try:
                moved, due_in = await self._store.promote(limit=PROMOTE_LIMIT)
            except StoreUnavailable:
                await patience.wait()
                continue
            patience.renew()
            if moved:
                self._claim_now.set()
            # Another client may have scheduled an earlier one, and its wake-up been lost.
            rest = self._host.poll_every if due_in is None else min(self._host.poll_every, max(0.0, due_in))
            await first_of(self._schedule_now, seconds=rest)

    async def _listen(self) -> None:
        patience = Patience()
        while True:
            try:
                async with self._store.wakeups({Topic.READY, Topic.CONTROL}) as wakeups:
                    async for wakeup in wakeups:
                        patience.renew()
                        self._hear(wakeup)
            except StoreUnavailable:
                pass  # polling goes on
            await patience.wait()

    def _hear(self, wakeup: WakeUp) -> None:
        if wakeup.topic is Topic.CONTROL and (not wakeup.keys or str(self._session.id) in wakeup.keys):
            self._tick_now.set()
        if wakeup.topic is Topic.READY and (not wakeup.keys or wakeup.keys & self._session.queues.keys()):
            self._work_may_be_there()

    # -- small connections

    def _say_hello(self) -> None:
        journal.say(
            "session begins",
            session=self._session.id,
            database=self._store.url,
            slots=", ".join(f"{name} {slots}" for name, slots in self._session.queues.items()),
            kinds=", ".join(sorted(self._session.kinds)),
        )

    def _lapse(self) -> None:
        """Called in the lease's thread: end every tree, before another may take the jobs."""
        self._machine.end(*(worker.root for worker in (*self._pool.workers, *self._lane.workers)), seconds=self._host.kill)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            if self._group is not None:
                self._group.create_task(work, name=name)
                return
        except RuntimeError:
            pass  # the group is ending, because of an error of another task; workers speak until they are ended too
        work.close()

    def _work_may_be_there(self) -> None:
        self._claim_now.set()
        self._schedule_now.set()

    def _on_worker(self) -> None:
        self._dispatch.pump()
        self._claim_now.set()

    def _waits_changed(self) -> None:
        """A parent began or ended to wait: have a worker in its place, and claim for the room it gave."""
        self._pool.want(self._workers_wanted(parked=sum(job.waiting and not job.lane for job in self._dispatch.held())))
        self._claim_now.set()

    def _workers_wanted(self, *, parked: int) -> int:
        return sum(self._session.queues.values()) + self._host.spares + parked


def _tell_stillborn(reason: str) -> None:
    journal.say("a worker could not be started; another is tried", level="ERROR", reason=reason)


def _worker_options(settings: Settings, confinement: Confinement) -> WorkerOptions:
    return WorkerOptions(
        marker=name_of(os.getpid(), started_at(os.getpid())),
        modules=settings.modules,
        path=tuple(settings.import_paths()),
        locations={name: place.url for name, place in settings.locations.items()},
        plain_paths=settings.plain_paths,
        recycle_after=settings.coordinator.recycle_after,
        recycle_memory_bytes=settings.coordinator.recycle_memory,
        confinement=confinement,
    )
