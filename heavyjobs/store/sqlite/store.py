"""The verbs of the protocol on one SQLite file: which connection does each, and whether it must survive a power cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Self
from uuid import UUID

from heavyjobs.model import ClaimKey, CoordinatorRecord, InvocationRecord, JobRecord, Session
from heavyjobs.store.records import (
    Brief,
    CancelAnswer,
    Changes,
    Checked,
    Claimed,
    End,
    Filter,
    LogChunk,
    NewJob,
    Progress,
    Recorded,
    StoreOptions,
    Submitted,
    Tick,
    Topic,
    WakeUp,
    Want,
)
from heavyjobs.store.sqlite import (
    changing,
    claiming,
    families,
    forfeiting,
    health,
    migrating,
    reading,
    recording,
    submitting,
    wakeups,
)
from heavyjobs.store.sqlite import sessions as liveness
from heavyjobs.store.sqlite.addresses import database_path, prepare
from heavyjobs.store.sqlite.connecting import Reader, Writer, connect
from heavyjobs.store.sqlite.errors import told
from heavyjobs.values import JsonText


class SqliteStore:
    """A `heavyjobs.store.protocol.Store` for one host and no server."""

    def __init__(self, url: str, options: StoreOptions | None = None) -> None:
        self._url: Final = url
        self._options: Final = options or StoreOptions()
        self._path: Final = database_path(url)
        self._writer: Final = Writer(self._path, where=url, timeout_seconds=self._options.timeout_seconds)
        self._reader: Final = Reader(self._path, where=url, timeout_seconds=self._options.timeout_seconds)
        self._watch: Final = wakeups.Watch(lambda: connect(self._path), look_seconds=self._options.look_seconds)
        self._opened = AsyncExitStack()

    @property
    def url(self) -> str:
        return self._url

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(prepare, self._path, where=self._url)
        async with AsyncExitStack() as opened:
            for connection in (self._writer, self._reader):
                await connection.open()
                opened.push_async_callback(connection.close)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()

    # -- schema

    async def migrate(self) -> tuple[int, int]:
        return await self._writer.write(lambda db: migrating.migrate(db, where=self._url), durable=True)

    async def check_schema(self) -> None:
        await self._reader.run(lambda db: migrating.check(db, where=self._url))

    # -- the life of a job

    async def submit(self, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        if not jobs:
            return []
        return await self._writer.write(lambda db: submitting.submit(db, jobs), durable=True, adds=True)

    async def spawn(self, session: UUID, claim: ClaimKey, children: Sequence[NewJob]) -> Sequence[Submitted]:
        return await self._writer.write(lambda db: submitting.spawn(db, session, claim, children), durable=True, adds=True)

    async def submit_within(self, connection: object, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        return self.submit_within_sync(connection, jobs)

    def submit_within_sync(self, connection: object, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        with told(self._url, self._path, timeout_seconds=self._options.timeout_seconds):
            return submitting.submit(submitting.own_connection(connection, self._path, where=self._url), jobs)

    async def promote(self, *, limit: int) -> tuple[int, float | None]:
        seconds = await self._reader.run(claiming.next_due)
        if seconds is None or seconds > 0:
            return 0, seconds
        return await self._writer.write(lambda db: claiming.promote(db, limit=limit), durable=False, adds=True)

    async def claim(
        self, session: UUID, wants: Sequence[Want], *, cpus: float, memory_bytes: int, host: str
    ) -> Sequence[Claimed]:
        # Look first: most claims of an idle coordinator find nothing, and need not keep others from writing.
        if not await self._reader.run(lambda db: claiming.look(db, session, wants, cpus=cpus, memory_bytes=memory_bytes)):
            return []
        return await self._writer.write(
            lambda db: claiming.take(
                db, session, claiming.look(db, session, wants, cpus=cpus, memory_bytes=memory_bytes), host=host
            ),
            durable=True,
            adds=True,
        )

    async def held(self, session: UUID) -> Sequence[Claimed]:
        return await self._reader.run(lambda db: claiming.held(db, session))

    async def checkpoint(self, session: UUID, claim: ClaimKey, data: JsonText) -> None:
        await self._writer.write(lambda db: claiming.checkpoint(db, session, claim, data), durable=True, adds=True)

    async def holds(self, session: UUID, claim: ClaimKey) -> bool:
        return await self._reader.run(lambda db: claiming.holds(db, session, claim))

    async def record(
        self, session: UUID, *, progress: Sequence[Progress], logs: Sequence[LogChunk], ends: Sequence[End]
    ) -> Recorded:
        return await self._writer.write(
            lambda db: recording.record(db, session, progress=progress, logs=logs, ends=ends),
            durable=bool(ends),
            adds=True,
        )

    async def cancel(self, jobs: Collection[UUID], *, grace_seconds: float | None = None) -> dict[UUID, CancelAnswer]:
        return await self._writer.write(lambda db: families.cancel(db, jobs, grace_seconds=grace_seconds), durable=True)

    async def cancel_children(self, session: UUID, claim: ClaimKey, jobs: Collection[UUID]) -> None:
        await self._writer.write(lambda db: families.cancel_children(db, session, claim, jobs), durable=True)

    async def retry(self, job: UUID, *, fresh: bool = False) -> JobRecord:
        return await self._writer.write(lambda db: changing.retry(db, job, fresh=fresh), durable=True)

    async def update(self, job: UUID, changes: Changes) -> JobRecord:
        return await self._writer.write(lambda db: changing.update(db, job, changes), durable=True)

    # -- sessions

    async def register(self, session: Session) -> None:
        await self._writer.write(lambda db: liveness.register(db, session), durable=True, urgent=True)

    async def tick(self, session: UUID, held: Collection[ClaimKey]) -> Tick:
        return await self._writer.write_at_once(lambda db: liveness.tick(db, session, held))

    async def forfeit(self, observer: UUID, *, session: UUID, tick: int, jitter: float) -> Sequence[ClaimKey] | None:
        return await self._writer.write(
            lambda db: forfeiting.forfeit(db, observer, session=session, tick=tick, jitter=jitter),
            durable=True,
            urgent=True,
        )

    async def end_session(self, session: UUID) -> None:
        await self._writer.write(lambda db: liveness.end_session(db, session), durable=True, urgent=True)

    async def drain(self, sessions: Collection[UUID]) -> None:
        await self._writer.write(lambda db: liveness.drain(db, sessions), durable=True)

    # -- reading

    async def get(self, job: UUID) -> JobRecord | None:
        return (await self.get_many([job])).get(job)

    async def get_many(self, jobs: Collection[UUID]) -> dict[UUID, JobRecord]:
        return await self._reader.run(lambda db: reading.get_many(db, jobs))

    async def find(self, tail: str, *, limit: int = 5) -> Sequence[UUID]:
        return await self._reader.run(lambda db: reading.find(db, tail, limit=limit))

    async def list(self, which: Filter) -> Sequence[JobRecord]:
        return await self._reader.run(lambda db: reading.list_jobs(db, which))

    async def briefs(self, jobs: Collection[UUID]) -> dict[UUID, Brief]:
        return await self._reader.run(lambda db: reading.briefs(db, jobs))

    async def invocations(self, job: UUID) -> Sequence[InvocationRecord]:
        return await self._reader.run(lambda db: reading.invocations(db, job))

    async def logs(self, job: UUID, *, claim: int, first: int, limit_chunks: int = 64) -> Sequence[LogChunk]:
        return await self._reader.run(lambda db: reading.logs(db, job, claim=claim, first=first, limit_chunks=limit_chunks))

    async def log_rows(self, job: UUID, *, claim: int, first: int, limit_rows: int = 1000) -> Sequence[tuple[int, int]]:
        return await self._reader.run(lambda db: reading.log_rows(db, job, claim=claim, first=first, limit_rows=limit_rows))

    async def coordinators(self, *, ended: bool = False) -> Sequence[CoordinatorRecord]:
        return await self._reader.run(lambda db: liveness.coordinators(db, ended=ended))

    async def health(self, *, whole: bool = False) -> Sequence[Checked]:
        return [
            *health.places(self._path),
            *health.library(),
            health.PROMISE,
            *(await self._reader.run(health.integrity) if whole else []),
        ]

    # -- wake-ups

    @asynccontextmanager
    async def wakeups(self, topics: Collection[Topic]) -> AsyncGenerator[AsyncIterator[WakeUp]]:
        if not self._options.notify:
            yield wakeups.Listener(topics, {})
            return
        listener = wakeups.Listener(topics, await self._reader.run(wakeups.numbers))
        async with self._watch.listening(listener):
            yield listener
