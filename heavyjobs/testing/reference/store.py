"""The verbs of the protocol on a reference database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Self
from uuid import UUID

from heavyjobs.errors import SchemaMismatch, UsageError
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
from heavyjobs.testing.reference import changing, claiming, families, reading, recording, submitting
from heavyjobs.testing.reference import sessions as liveness
from heavyjobs.testing.reference.database import ReferenceConnection, ReferenceDatabase
from heavyjobs.testing.reference.tables import Tables
from heavyjobs.testing.reference.wakeups import Listener
from heavyjobs.values import JsonText

VERSION: Final = 1
"""Of the schema that there is none of."""


class ReferenceStore:
    """A `heavyjobs.store.protocol.Store`; several on one database are several processes."""

    def __init__(self, database: ReferenceDatabase, options: StoreOptions | None = None) -> None:
        self._database: Final = database
        self._options: Final = options or StoreOptions()

    @property
    def url(self) -> str:
        return f"reference:{self._database.name}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    # -- schema

    async def migrate(self) -> tuple[int, int]:
        def bring_forward(tables: Tables, _now: datetime) -> tuple[int, int]:
            before, min_compatible = tables.schema
            self._refuse_newer(min_compatible)
            if before < VERSION:
                tables.schema = (VERSION, VERSION)
            return before, max(before, VERSION)

        return self._database.write(bring_forward)

    async def check_schema(self) -> None:
        found, min_compatible = self._database.tables.schema
        self._refuse_newer(min_compatible)
        if found < VERSION:
            raise SchemaMismatch(f"{self.url}: the schema has version {found}, this release needs {VERSION}; migrate it")

    def _refuse_newer(self, min_compatible: int) -> None:
        if min_compatible > VERSION:
            raise SchemaMismatch(f"{self.url}: only releases from {min_compatible} on can use this schema; upgrade heavyjobs")

    # -- the life of a job

    async def submit(self, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        return self._database.write(lambda tables, now: submitting.submit(tables, jobs, now))

    async def spawn(self, session: UUID, claim: ClaimKey, children: Sequence[NewJob]) -> Sequence[Submitted]:
        return self._database.write(lambda tables, now: submitting.spawn(tables, session, claim, children, now))

    async def submit_within(self, connection: object, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        return self.submit_within_sync(connection, jobs)

    def submit_within_sync(self, connection: object, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        if not isinstance(connection, ReferenceConnection) or connection.database is not self._database:
            raise UsageError(f"{self.url}: no connection to this database; pass a ReferenceConnection to it")
        return connection.submit(jobs)

    async def promote(self, *, limit: int) -> tuple[int, float | None]:
        return self._database.write(lambda tables, now: claiming.promote(tables, now, limit=limit))

    async def claim(
        self, session: UUID, wants: Sequence[Want], *, cpus: float, memory_bytes: int, host: str
    ) -> Sequence[Claimed]:
        return self._database.write(
            lambda tables, now: claiming.claim(
                tables,
                session,
                wants,
                now,
                cpus=cpus,
                memory_bytes=memory_bytes,
                host=host,
                among_equals=self._database.among_equals,
            )
        )

    async def held(self, session: UUID) -> Sequence[Claimed]:
        return claiming.held(self._database.tables, session)

    async def checkpoint(self, session: UUID, claim: ClaimKey, data: JsonText) -> None:
        self._database.write(lambda tables, _now: claiming.checkpoint(tables, session, claim, data))

    async def holds(self, session: UUID, claim: ClaimKey) -> bool:
        return claiming.holds(self._database.tables, session, claim)

    async def record(
        self, session: UUID, *, progress: Sequence[Progress], logs: Sequence[LogChunk], ends: Sequence[End]
    ) -> Recorded:
        return self._database.write(
            lambda tables, now: recording.record(tables, session, now, progress=progress, logs=logs, ends=ends)
        )

    async def cancel(self, jobs: Collection[UUID], *, grace_seconds: float | None = None) -> dict[UUID, CancelAnswer]:
        return self._database.write(lambda tables, now: families.cancel(tables, jobs, now, grace_seconds=grace_seconds))

    async def cancel_children(self, session: UUID, claim: ClaimKey, jobs: Collection[UUID]) -> None:
        self._database.write(lambda tables, now: families.cancel_children(tables, session, claim, jobs, now))

    async def retry(self, job: UUID, *, fresh: bool = False) -> JobRecord:
        return self._database.write(lambda tables, now: changing.retry(tables, job, now, fresh=fresh))

    async def update(self, job: UUID, changes: Changes) -> JobRecord:
        return self._database.write(lambda tables, now: changing.update(tables, job, changes, now))

    # -- sessions

    async def register(self, session: Session) -> None:
        self._database.write(lambda tables, now: liveness.register(tables, session, now))

    async def tick(self, session: UUID, held: Collection[ClaimKey]) -> Tick:
        return self._database.write(lambda tables, now: liveness.tick(tables, session, held, now))

    async def forfeit(self, observer: UUID, *, session: UUID, tick: int, jitter: float) -> Sequence[ClaimKey] | None:
        return self._database.write(
            lambda tables, now: liveness.forfeit(tables, observer, now, session=session, tick=tick, jitter=jitter)
        )

    async def end_session(self, session: UUID) -> None:
        self._database.write(lambda tables, now: liveness.end_session(tables, session, now))

    async def drain(self, sessions: Collection[UUID]) -> None:
        self._database.write(lambda tables, now: liveness.drain(tables, sessions, now))

    # -- reading

    async def get(self, job: UUID) -> JobRecord | None:
        return (await self.get_many([job])).get(job)

    async def get_many(self, jobs: Collection[UUID]) -> dict[UUID, JobRecord]:
        return reading.get_many(self._database.tables, jobs)

    async def find(self, tail: str, *, limit: int = 5) -> Sequence[UUID]:
        return reading.find(self._database.tables, tail, limit=limit)

    async def list(self, which: Filter) -> Sequence[JobRecord]:
        return reading.list_jobs(self._database.tables, which)

    async def briefs(self, jobs: Collection[UUID]) -> dict[UUID, Brief]:
        return reading.briefs(self._database.tables, jobs)

    async def invocations(self, job: UUID) -> Sequence[InvocationRecord]:
        return reading.invocations(self._database.tables, job)

    async def logs(self, job: UUID, *, claim: int, first: int, limit_chunks: int = 64) -> Sequence[LogChunk]:
        return reading.logs(self._database.tables, ClaimKey(job, claim), first=first, limit_chunks=limit_chunks)

    async def log_rows(self, job: UUID, *, claim: int, first: int, limit_rows: int = 1000) -> Sequence[tuple[int, int]]:
        return reading.log_rows(self._database.tables, ClaimKey(job, claim), first=first, limit_rows=limit_rows)

    async def coordinators(self, *, ended: bool = False) -> Sequence[CoordinatorRecord]:
        return liveness.coordinators(self._database.tables, ended=ended)

    async def health(self, *, whole: bool = False) -> Sequence[Checked]:
        return []

    # -- wake-ups

    @asynccontextmanager
    async def wakeups(self, topics: Collection[Topic]) -> AsyncGenerator[AsyncIterator[WakeUp]]:
        listener = Listener(topics)
        if not self._options.notify:
            yield listener
            return
        self._database.listeners.append(listener.tell)
        try:
            yield listener
        finally:
            self._database.listeners.remove(listener.tell)
