"""Those who wait for news of jobs, and the board on which they are found by job."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Generator, KeysView
from contextlib import contextmanager
from typing import Final, Generic, TypeVar
from uuid import UUID

from heavyjobs.model import JobRecord, JobState
from heavyjobs.store.records import Brief
from heavyjobs.waiting import first_of


class Subscription:
    """News of one job: the latest wins."""

    def __init__(self) -> None:
        self._latest: Brief | None = None
        self._given: Brief | None = None
        self._error: BaseException | None = None
        self._news: Final = asyncio.Event()

    async def next(self, timeout: float | None = None) -> Brief | None:
        """Wait until the job stands otherwise than at the last call, at most `timeout` seconds: then None.

        Raises:
            JobNotFound: the database does not have it, or no longer.
        """
        if not await first_of(self._news, seconds=timeout):
            return None
        if self._error is not None:
            raise self._error
        self._news.clear()
        self._given = self._latest
        return self._given

    def hear(self, brief: Brief) -> None:
        self._latest = brief
        if brief == self._given:
            self._news.clear()
        else:
            self._news.set()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._news.set()


class Awaiting:
    """Someone who waits for jobs to end: all of them, or with `first_death` all or the first that is dead or cancelled.

    Attributes:
        done: gets the records of the jobs that have ended by then.
    """

    def __init__(self, jobs: Collection[UUID], *, first_death: bool) -> None:
        self.done: Final[asyncio.Future[dict[UUID, JobRecord]]] = asyncio.get_running_loop().create_future()
        self._missing: Final = set(jobs)
        self._ended: Final[dict[UUID, JobRecord]] = {}
        self._first_death: Final = first_death

    def hear(self, record: JobRecord) -> None:
        self._missing.discard(record.id)
        self._ended[record.id] = record
        died = self._first_death and record.state is not JobState.SUCCEEDED
        if (died or not self._missing) and not self.done.done():
            self.done.set_result(self._ended)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


W = TypeVar("W")


class Board(Generic[W]):
    """Who waits for which job."""

    def __init__(self) -> None:
        self._by_job: Final[dict[UUID, set[W]]] = {}

    @contextmanager
    def entry(self, waiter: W, jobs: Collection[UUID]) -> Generator[None]:
        """Keep the waiter on the board while the block runs."""
        for job in jobs:
            self._by_job.setdefault(job, set()).add(waiter)
        try:
            yield
        finally:
            for job in jobs:
                self.remove(waiter, job)

    def remove(self, waiter: W, job: UUID) -> None:
        waiters = self._by_job.get(job, set[W]())
        waiters.discard(waiter)
        if not waiters:
            self._by_job.pop(job, None)

    def jobs(self) -> KeysView[UUID]:
        return self._by_job.keys()

    def of(self, job: UUID) -> frozenset[W]:
        return frozenset(self._by_job.get(job, ()))

    def all(self) -> frozenset[W]:
        return frozenset[W]().union(*self._by_job.values())
