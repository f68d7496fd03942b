"""The soak's application: it submits, cancels and retries by the plan, and writes down what it was told.

`accepted` is what the database has said yes to, and nothing else: a submit whose answer was lost is `doubtful`, and looked up
by its ids when the faults are over. Submits and cancels go by the client's own way, which is cut off and slow like the hosts';
the looking that paces it goes directly.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final, TypeAlias
from uuid import UUID

import psycopg

from heavyjobs import Client, JobState, StoreUnavailable, WrongState
from heavyjobs.client.submitting import draft, insert
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Brief, NewJob, Submitted
from soaking.cast import CLIENT
from soaking.databases import Database
from soaking.diary import Diary
from soaking.lines import complete
from soaking.orders import How, Ordered
from soaking.pace import Pace
from soaking.plan import Plan
from soaking.witness import now

OUTSTANDING_MAX: Final = 40
"""Jobs (roots) that have not ended, above which nothing is submitted: so most of them run while faults happen."""

LOOK_SECONDS: Final = 0.2
TOGETHER_MAX: Final = 10
Refusals: Final = (StoreUnavailable, psycopg.Error, sqlite3.Error, OSError)

Draft: TypeAlias = tuple[Ordered, NewJob]


class Traffic:
    def __init__(self, plan: Plan, client: Client, observer: Store, database: Database, diary: Diary) -> None:
        self.accepted: Final[dict[UUID, Ordered]] = {}
        self.doubtful: Final[list[Sequence[Draft]]] = []
        self.absent: Final[list[UUID]] = []
        """Rolled back, so never to be seen."""
        self.cancelled: Final[set[UUID]] = set()
        """Whose cancel was asked for, whether or not the answer came."""
        self.confirmed: Final[dict[UUID, float]] = {}
        """Seconds since boot when a cancel came back and said that everything of the job was gone."""
        self.counts: Final[Counter[str]] = Counter()
        self._plan: Final = plan
        self._client: Final = client
        self._observer: Final = observer
        self._database: Final = database
        self._diary: Final = diary
        self._outstanding: Final[dict[UUID, Ordered]] = {}
        self._retries: Final[Counter[UUID]] = Counter()
        self._room: Final = asyncio.Condition()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self, pace: Pace) -> None:
        """Submit all jobs of the plan, and do to each what is planned; returns when all have been submitted."""
        for group in _groups(self._plan.jobs):
            await pace.until(group[0].at)
            with pace.stopped():
                async with self._room:
                    await self._room.wait_for(lambda: len(self._outstanding) < OUTSTANDING_MAX)
            await self._submit(group)

    async def watch(self, tasks: asyncio.TaskGroup) -> None:
        """Notice which have ended, until cancelled; `tasks` keeps what is begun meanwhile."""
        self._tasks = tasks
        while True:
            try:
                briefs = await self._observer.briefs([*self._outstanding])
                for brief in briefs.values():
                    if brief.state.ended:
                        await self._ended(brief)
            except StoreUnavailable:
                self.counts["looks that found the database away"] += 1
            async with self._room:
                self._room.notify_all()
            await asyncio.sleep(LOOK_SECONDS)

    async def resolve(self) -> None:
        """Look up what is doubtful, now that nothing is under way any more."""
        for drafts in self.doubtful:
            found = await self._observer.get_many([new.id for _, new in drafts])
            if 0 < len(found) < len(drafts):
                ids = ", ".join(str(new.id) for _, new in drafts)
                self._diary.wrong("half a submit", f"{len(found)} of {len(drafts)} of one submit are there: {ids}")
            for ordered, new in drafts:
                if new.id in found:
                    self._accept(ordered, new.id)
            self.counts["lost answers, job present" if found else "lost answers, job absent"] += 1

    def forget(self) -> None:
        """Wait no longer for what has not ended."""
        self._outstanding.clear()

    @property
    def outstanding(self) -> int:
        return len(self._outstanding)

    # -- submitting

    async def _submit(self, group: Sequence[Ordered]) -> None:
        drafts = [(one, draft(one.job, unique=one.unique, delay=one.delay or None).new) for one in group]
        new = [draft for _, draft in drafts]
        within = group[0].how in {How.WITHIN, How.ROLLED_BACK}
        try:
            if within:
                answers = await asyncio.to_thread(self._within, new, commits=group[0].how is How.WITHIN)
            else:
                answers = await insert(self._client.store, new, connection=None)
        except Refusals as error:
            self._diary.note("submit not answered", jobs=[one.id for one in new], error=repr(error)[:200])
            self.counts["submits not answered"] += 1
            self.doubtful.append(drafts)
            return
        if group[0].how is How.ROLLED_BACK:
            self.absent.extend(one.id for one in new)
            return
        for (ordered, one), answer in zip(drafts, answers, strict=True):
            if answer.id == one.id:
                self._accept(ordered, one.id)
            else:
                self.counts["found by their unique key"] += 1

    def _within(self, new: Sequence[NewJob], *, commits: bool) -> Sequence[Submitted]:
        """In a transaction of our own, in a thread."""
        with closing(self._connection()) as connection:
            if isinstance(connection, sqlite3.Connection):
                connection.execute("BEGIN IMMEDIATE")
            answers = self._client.store.submit_within_sync(connection, new)
            if commits:
                connection.commit()
            else:
                connection.rollback()
            return answers

    def _connection(self) -> sqlite3.Connection | psycopg.Connection:
        if self._database.path:
            return sqlite3.connect(self._database.path, timeout=2, isolation_level=None)
        return psycopg.connect(self._database.url_for(CLIENT), connect_timeout=5)

    def _accept(self, ordered: Ordered, job: UUID) -> None:
        self.accepted[job] = ordered
        self._outstanding[job] = ordered
        self._diary.note("accepted", job=job, number=ordered.job.number, kind=ordered.job.kind)
        if ordered.cancel_after is not None and self._tasks is not None:
            self._tasks.create_task(self._cancel(job, ordered), name="cancelling")

    # -- changing

    async def _cancel(self, job: UUID, ordered: Ordered) -> None:
        await asyncio.sleep(ordered.cancel_after or 0.0)
        self.cancelled.add(job)
        self._diary.note("cancel", job=job, waits=ordered.cancel_waits)
        self.counts["cancels"] += 1
        try:
            # A job that is sent again after it was cancelled is not waited for: its next end may be another.
            await self._client.handle(job).cancel(wait=ordered.cancel_waits and not ordered.retries)
        except StoreUnavailable:
            self.counts["cancels not answered"] += 1
            return
        if ordered.cancel_waits and not ordered.retries:
            self.confirmed[job] = now()

    async def _ended(self, brief: Brief) -> None:
        ordered = self._outstanding[brief.id]
        if ordered.audited and brief.state is JobState.SUCCEEDED and not await complete(self._observer, brief, ordered.job):
            self._diary.wrong("outcome before its log", f"job {brief.id} is seen to have succeeded, and its log is not whole")
        if brief.state is not JobState.SUCCEEDED and self._retries[brief.id] < ordered.retries:
            await self._retry(brief)
        else:
            del self._outstanding[brief.id]

    async def _retry(self, brief: Brief) -> None:
        self._retries[brief.id] += 1
        self._diary.note("retry", job=brief.id, epoch=brief.epoch)
        try:
            await self._client.retry(brief.id, fresh=self._retries[brief.id] > 1)
            self.counts["retries"] += 1
        except (StoreUnavailable, WrongState) as error:
            self.counts[f"retries: {type(error).__name__}"] += 1


def _groups(jobs: Sequence[Ordered]) -> Iterator[Sequence[Ordered]]:
    """Those that are submitted together."""
    together: list[Ordered] = []
    for ordered in jobs:
        if ordered.how is How.MANY:
            together.append(ordered)
            if len(together) < TOGETHER_MAX:
                continue
            yield together
            together = []
        else:
            yield [ordered]
    if together:
        yield together
