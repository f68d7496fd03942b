"""See how jobs change and end, for any number of waiters, with one subscription to wake-ups and one poll.

The watcher guarantees
- that one round of statements serves everyone: one `briefs` for all jobs to look at, one `get_many` for those of them that
  ended, whether one handle waits or a thousand;
- that polling is enough: with wake-ups off, lost or late, news is at most `poll_seconds` old;
- that a database that is away makes waits longer, and nothing else;
- that nobody waits for ever on a watcher that ended: leaving its block, or an error of ours in it, ends every wait.

It assumes
- that hints arrive once `Store.wakeups` is entered; what changed before is found by the look that follows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Generator, Set
from contextlib import contextmanager
from typing import Final, Self
from uuid import UUID

from heavyjobs.errors import HeavyjobsError, JobNotFound, StoreUnavailable
from heavyjobs.model import JobRecord, short_id
from heavyjobs.store.patience import Patience
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Topic, WakeUp
from heavyjobs.store.waiters import Awaiting, Board, Subscription
from heavyjobs.waiting import first_of

RECORDS_MAX: Final = 200
"""Rows read at a time with their results, which may be 1 MiB each."""

REST_MAX_SECONDS: Final = 0.25
"""After a round the watcher rests for as long as the round took, at most this: it never keeps a connection busy."""


class Watcher:
    """Sees news of jobs; enter it, its task lives until the block is left.

    Args:
        poll_seconds: how old news may be when no wake-up comes.
    """

    def __init__(self, store: Store, *, poll_seconds: float = 1.0) -> None:
        self._store: Final = store
        self._awaiting: Final = Board[Awaiting]()
        self._subscriptions: Final = Board[Subscription]()
        self._agenda: Final = _Agenda(self._watched, poll_seconds=poll_seconds)
        self._wanted: Final = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch(), name="watching")
        self._task.add_done_callback(self._end_all)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error

    async def ended(self, jobs: Collection[UUID], *, first_death: bool = False) -> dict[UUID, JobRecord]:
        """Wait until all have ended, or with `first_death` until one is dead or cancelled.

        Returns:
            The jobs that have ended by then, as they were when that was seen; without `first_death` all of them.

        Raises:
            JobNotFound: the database does not have all of them, or no longer.
        """
        if not jobs:
            return {}
        waiter = Awaiting(jobs, first_death=first_death)
        with self._awaiting.entry(waiter, jobs):
            self._ask(jobs)
            return await waiter.done

    @contextmanager
    def subscribe(self, job: UUID) -> Generator[Subscription]:
        """Follow one job; its first news is where it stands now."""
        waiter = Subscription()
        with self._subscriptions.entry(waiter, [job]):
            self._ask([job])
            yield waiter

    def _ask(self, jobs: Collection[UUID]) -> None:
        if self._task is None or self._task.done():
            raise HeavyjobsError("jobs can be awaited only while the client is open; use it inside its `async with` block")
        self._wanted.set()
        self._agenda.add(jobs)

    def _end_all(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        error = error or HeavyjobsError("the client was closed while a job was awaited; the job goes on")
        self._fail(error, [*self._awaiting.all(), *self._subscriptions.all()])

    @staticmethod
    def _fail(error: BaseException, waiters: Collection[Awaiting | Subscription]) -> None:
        for waiter in waiters:
            waiter.fail(error)

    def _watched(self) -> Set[UUID]:
        return self._awaiting.jobs() | self._subscriptions.jobs()

    async def _watch(self) -> None:
        await self._wanted.wait()  # a client that only submits needs no listener
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="listening for news of jobs")
            tasks.create_task(self._look(), name="looking at jobs")

    async def _listen(self) -> None:
        patience = Patience()
        while True:
            try:
                async with self._store.wakeups({Topic.JOBS}) as wakeups:
                    patience.renew()
                    self._agenda.add_all()
                    async for wakeup in wakeups:
                        self._hear(wakeup)
            except StoreUnavailable:
                pass  # polling goes on
            await patience.wait()

    def _hear(self, wakeup: WakeUp) -> None:
        if wakeup.keys:
            self._agenda.add(self._watched() & {UUID(key) for key in wakeup.keys})
        else:
            self._agenda.add_all()

    async def _look(self) -> None:
        clock = asyncio.get_running_loop()
        patience = Patience()
        while True:
            jobs = await self._agenda.take()
            started = clock.time()
            try:
                await self._round(jobs)
            except StoreUnavailable:
                self._agenda.add(jobs)
                await patience.wait()
            else:
                patience.renew()
                await asyncio.sleep(min(clock.time() - started, REST_MAX_SECONDS))

    async def _round(self, jobs: Set[UUID]) -> None:
        briefs = await self._store.briefs(jobs)
        for job in jobs - briefs.keys():
            self._fail(not_found(job), [*self._awaiting.of(job), *self._subscriptions.of(job)])
        for job, brief in briefs.items():
            for subscription in self._subscriptions.of(job):
                subscription.hear(brief)
        over = [job for job, brief in briefs.items() if brief.state.ended and self._awaiting.of(job)]
        for first in range(0, len(over), RECORDS_MAX):
            for record in (await self._store.get_many(over[first : first + RECORDS_MAX])).values():
                if record.state.ended:  # a retry may have come between the two reads
                    self._conclude(record)

    def _conclude(self, record: JobRecord) -> None:
        for waiter in self._awaiting.of(record.id):
            self._awaiting.remove(waiter, record.id)
            waiter.hear(record)


def not_found(job: UUID) -> JobNotFound:
    return JobNotFound(f"job {short_id(job)} is not in the database: never submitted, rolled back, or pruned")


class _Agenda:
    """Which of the watched jobs to look at next, and when."""

    def __init__(self, watched: Callable[[], Set[UUID]], *, poll_seconds: float) -> None:
        self._watched: Final = watched
        self._poll_seconds: Final = poll_seconds
        self._poll_at = 0.0
        self._due: set[UUID] = set()
        self._news: Final = asyncio.Event()

    def add(self, jobs: Collection[UUID]) -> None:
        self._due.update(jobs)
        if self._due:
            self._news.set()

    def add_all(self) -> None:
        self._poll_at = 0.0
        self._news.set()

    async def take(self) -> Set[UUID]:
        """Wait until there are jobs to look at; all that are watched when a poll is due."""
        clock = asyncio.get_running_loop()
        while True:
            idle = not self._watched()
            await first_of(self._news, seconds=None if idle else max(0.0, self._poll_at - clock.time()))
            self._news.clear()
            due, self._due = self._due, set()
            jobs = self._watched() & due
            if clock.time() >= self._poll_at:
                jobs = self._watched()
                self._poll_at = clock.time() + self._poll_seconds * random.uniform(0.9, 1.0)  # noqa: S311  # spreads load
            if jobs:
                return jobs
