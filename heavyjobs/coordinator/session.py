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
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import UUID, uuid4

from heavyjobs.coordinator import journal, wants
from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.coordinator.families import Families
from heavyjobs.coordinator.host import is_gone
from heavyjobs.coordinator.lease import Lease
from heavyjobs.coordinator.relay import Relay
from heavyjobs.coordinator.silence import Silence
from heavyjobs.coordinator.verdict import Stop
from heavyjobs.errors import SessionFenced, StoreUnavailable
from heavyjobs.events import WorkerOptions
from heavyjobs.model import Session, short_id
from heavyjobs.settings import Settings
from heavyjobs.slots.bill import sample
from heavyjobs.slots.guardian import Guardian, boot_seconds
from heavyjobs.slots.pool import LaneKeeper, Pool
from heavyjobs.slots.probe import Probed
from heavyjobs.slots.tree import end
from heavyjobs.store.patience import Patience
from heavyjobs.store.protocol import SessionSeen, Store, Tick, Topic
from heavyjobs.store.watching import Watcher

TEND_SECONDS: Final = 0.5
"""How often timeouts are looked at; trees are sampled every second time."""

LAST_WRITE_SECONDS: Final = 10.0
"""After a lapse, to write the ends of what had ended before: a little more than the longest pause between tries."""

PROMOTE_LIMIT: Final = 1000
ADOPT_LATE_SECONDS: Final = 15.0
"""A claim whose answer was lost may still commit; look once more after this."""


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
        *,
        predecessors: frozenset[UUID],
        draining: asyncio.Event,
        hurry: asyncio.Event,
    ) -> None:
        self._store = store
        self._session = session
        self._probed = probed
        self._host = settings.coordinator
        self._slots = {name: queue.slots for name, queue in settings.queues.items()}
        self._predecessors = predecessors
        self._draining = draining
        self._hurry = hurry
        self._claim_now = asyncio.Event()
        self._schedule_now = asyncio.Event()
        self._tick_now = asyncio.Event()
        self._unsure = False
        self._group: asyncio.TaskGroup | None = None
        self._guardian = Guardian()
        self._lease = Lease(self._host.lease, self._guardian, on_lapse=self._lapse)
        self._silence = Silence(forfeit_after=self._host.forfeit_after, gap_max=self._host.lease)
        options = _worker_options(settings)
        self._pool = Pool(
            options, self._guardian, preload=probed.preload, on_idle=self._on_worker, target=self._workers_wanted(parked=0)
        )
        self._lane = LaneKeeper(options, self._guardian, preload=probed.preload, on_warm=self._on_worker)
        self._relay = Relay(store, session.id, settled=self._settled)
        self._dispatch = Dispatch(
            pool=self._pool,
            lane=self._lane,
            relay=self._relay,
            lease=self._lease,
            on_lane=frozenset(kind for kind, seen in probed.kinds.items() if seen.waits),
            log_bytes=self._host.log_bytes,
            spawn=self._spawn,
            room=self._claim_now.set,
        )

    async def work(self) -> None:
        """Work until drained.

        Raises:
            SessionFenced: another coordinator has declared this session dead, or its lease has lapsed; its trees are gone.
        """
        self._guardian.start()
        try:
            with self._lease:
                await self._store.register(self._session)
                async with Watcher(self._store) as watcher, asyncio.TaskGroup() as self._group:
                    self._dispatch.families = Families(
                        self._store, self._session.id, watcher, self._lease, waits_changed=self._waits_changed
                    )
                    loops = [self._group.create_task(loop(), name=loop.__name__.strip("_")) for loop in self._loops()]
                    await self._drained()
                    for loop in loops:
                        loop.cancel()
                await self._store.end_session(self._session.id)
        finally:
            self._group = None
            # Workers first: with one alive the interpreter would wait for it at its end, whatever the executor is told.
            await self._pool.close()
            await self._lane.close()
            self._guardian.stop()

    def _loops(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        return (
            self._pool.tend,
            self._lane.tend,
            self._relay.run,
            self._tick_on_and_on,
            self._claim_on_and_on,
            self._schedule_on_and_on,
            self._tend_on_and_on,
            self._listen_on_and_on,
        )

    async def _drained(self) -> None:
        """Wait for the request to stop, then until all work has ended or was handed back."""
        await self._draining.wait()
        journal.say("draining", running=len(self._dispatch.running), seconds=self._host.drain)
        await _within(self._host.drain, self._dispatch.empty, self._hurry)
        while not self._dispatch.empty.is_set():
            hurry = self._hurry.is_set()
            self._dispatch.hand_back(hurry=hurry)
            await _within(1.0, self._dispatch.empty, *([] if hurry else [self._hurry]))
        await self._relay.flush()

    # -- ticking

    async def _tick_on_and_on(self) -> None:
        while True:
            began = boot_seconds()
            try:
                tick = await self._store.tick(self._session.id, self._dispatch.claims())
            except StoreUnavailable as error:
                journal.say("tick failed", level="WARNING", reason=error)
            else:
                self._lease.renew(began)
                await self._heed(tick)
            if self._lease.lapsed.is_set():
                # What has ended by itself is still ours to say, as long as nobody has taken it.
                self._dispatch.abandon()
                await _within(LAST_WRITE_SECONDS, self._dispatch.empty)
                raise SessionFenced("the lease has lapsed: the database was out of reach for too long")
            self._tick_now.clear()
            await _within(max(0.0, self._host.tick_every - (boot_seconds() - began)), self._tick_now)

    async def _heed(self, tick: Tick) -> None:
        for claim in tick.lost:
            self._dispatch.lose(claim)
        for order in tick.cancels:
            self._dispatch.cancel(order)
        if tick.drain:
            self._draining.set()
        for silent in self._silence.look(boot_seconds(), tick.others, gone=self._is_gone):
            self._spawn(self._forfeit(silent), f"forfeiting {short_id(silent.id)}")

    def _is_gone(self, other: SessionSeen) -> bool:
        return other.id in self._predecessors or is_gone(other, here=self._session)

    async def _forfeit(self, silent: SessionSeen) -> None:
        try:
            taken = await self._store.forfeit(
                self._session.id,
                session=silent.id,
                tick=silent.tick,
                jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
            )
        except StoreUnavailable:
            return  # the next tick shows whether it is still to be done
        if taken is not None:
            journal.say("declared dead", level="WARNING", session=silent.id, host=silent.host, pid=silent.pid, jobs=len(taken))
            self._claim_now.set()
            self._schedule_now.set()

    def _lapse(self) -> None:
        """Called in the lease's thread: end every tree, before another may take the jobs."""
        end(*(worker.root for worker in (*self._pool.workers, *self._lane.workers)), seconds=self._host.kill)

    # -- claiming

    async def _claim_on_and_on(self) -> None:
        patience = Patience()
        while not self._draining.is_set():
            self._claim_now.clear()
            try:
                if self._unsure:
                    await self._adopt()
                more = await self._claim()
            except StoreUnavailable as error:
                journal.say("claim failed", level="WARNING", reason=error)
                self._unsure = True
                await patience.wait()
                continue
            patience.renew()
            if not more:
                await _within(self._host.poll_every, self._claim_now, self._draining)

    async def _claim(self) -> bool:
        """Take what fits; whether asking again at once may give more."""
        if not self._lease.holds:
            return False
        held = self._dispatch.held()
        asked = wants.wants(
            slots=self._slots,
            kinds=self._probed.kinds,
            held=held,
            idle_workers=self._pool.idle,
            lane_size=self._host.lane,
        )
        if not asked:
            return False
        claimed = await self._store.claim(
            self._session.id,
            asked,
            cpus=wants.cpus_left(self._host.cpus, held),
            memory_bytes=wants.memory_left(self._host.memory, held),
            host=self._session.name,
        )
        self._dispatch.take(claimed)
        return bool(claimed)

    async def _adopt(self) -> None:
        """An answer to a claim was lost: find what it gave us, now and once more later."""
        meanwhile = self._dispatch.watch_settling()
        self._dispatch.adopt(await self._store.held(self._session.id), meanwhile)
        self._unsure = False

    # -- the rest of the clockwork

    async def _schedule_on_and_on(self) -> None:
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
            await _within(rest, self._schedule_now)

    async def _listen_on_and_on(self) -> None:
        patience = Patience()
        while True:
            try:
                async with self._store.wakeups({Topic.READY, Topic.CONTROL}) as wakeups:
                    async for wakeup in wakeups:
                        patience.renew()
                        if wakeup.topic is Topic.CONTROL and (not wakeup.keys or str(self._session.id) in wakeup.keys):
                            self._tick_now.set()
                        if wakeup.topic is Topic.READY and (not wakeup.keys or wakeup.keys & self._slots.keys()):
                            self._claim_now.set()
                            self._schedule_now.set()
            except StoreUnavailable:
                pass  # polling goes on
            await patience.wait()

    async def _tend_on_and_on(self) -> None:
        """Timeouts, memory, the guardian's health."""
        turn = 0
        while True:
            await asyncio.sleep(TEND_SECONDS)
            turn += 1
            for invocation in [*self._dispatch.running.values()]:
                if invocation.overdue():
                    grace = invocation.claimed.policy.grace_seconds
                    self._spawn(invocation.halt(Stop.TIMEOUT, grace_seconds=grace), "ending what has timed out")
            if not self._guardian.alive:
                journal.say("the guardian is gone; starting another", level="WARNING")
                self._guardian.start()
            if turn % 2 == 0:
                await self._sample()

    async def _sample(self) -> None:
        in_slots = {run.worker.root.pid: run for run in self._dispatch.running.values() if not run.worker.lane}
        if not in_slots:
            return
        for pid, used in (await asyncio.to_thread(sample, [*in_slots])).items():
            if not in_slots[pid].over.is_set() and in_slots[pid].sampled(used):
                self._spawn(in_slots[pid].halt(Stop.MEMORY, grace_seconds=0), "ending what uses too much memory")

    # -- small connections

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self._group is None:
            work.close()
        else:
            self._group.create_task(work, name=name)

    def _settled(self, recorded: Any) -> None:
        self._dispatch.settled(recorded)

    def _on_worker(self) -> None:
        self._dispatch.pump()
        self._claim_now.set()

    def _waits_changed(self) -> None:
        """A parent began or ended to wait: have a worker in its place, and claim for the room it gave."""
        self._pool.want(self._workers_wanted(parked=sum(job.waiting and not job.lane for job in self._dispatch.held())))
        self._claim_now.set()

    def _workers_wanted(self, *, parked: int) -> int:
        return sum(self._slots.values()) + self._host.spares + parked


def _worker_options(settings: Settings) -> WorkerOptions:
    return WorkerOptions(
        marker=uuid4().hex[:12],
        modules=settings.modules,
        path=tuple(settings.import_paths()),
        locations={name: place.url for name, place in settings.locations.items()},
        plain_paths=settings.plain_paths,
        recycle_after=settings.coordinator.recycle_after,
        recycle_memory_bytes=settings.coordinator.recycle_memory,
    )


async def _within(seconds: float, *events: asyncio.Event) -> None:
    """Wait until one of them is set, at most so long."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
