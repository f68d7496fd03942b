"""The store in PostgreSQL: each verb of the protocol, and whether it is repeated when the connection is lost under it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Self
from uuid import UUID

from heavyjobs.model import ClaimKey, CoordinatorRecord, InvocationRecord, JobRecord, Session
from heavyjobs.store.postgres import changing, claiming, health, migrating, reading, recording, submitting
from heavyjobs.store.postgres import sessions as coordinating
from heavyjobs.store.postgres.addresses import address
from heavyjobs.store.postgres.connecting import Database
from heavyjobs.store.postgres.errors import told
from heavyjobs.store.postgres.listening import Listener, Mailbox
from heavyjobs.store.postgres.talking import Talk
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
from heavyjobs.values import JsonText


class PostgresStore:
    """See `heavyjobs.store.protocol.Store` for what each verb promises."""

    def __init__(self, url: str, options: StoreOptions) -> None:
        where = address(url, timeout_seconds=options.timeout_seconds)
        direct = address(options.listen_url, timeout_seconds=options.timeout_seconds) if options.listen_url else where
        self._direct: Final = direct
        self._where: Final = where.shown
        self._options: Final = options
        self._database: Final = Database(where, options)
        self._listener: Final = Listener(
            direct,
            timeout_seconds=options.timeout_seconds,
            named=options.listen_url is not None,
            on_silence=None if options.listen_url else self._database.give_up_silent,
        )

    @property
    def url(self) -> str:
        return self._where

    async def __aenter__(self) -> Self:
        await self._database.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._listener.stop()
        await self._database.close()

    # -- schema

    async def migrate(self) -> tuple[int, int]:
        return await self._database.unbounded("migrating", lambda talk: migrating.migrate(talk, self._where))

    async def check_schema(self) -> None:
        await self._database.repeated("checking the schema", lambda talk: migrating.check(talk, self._where))

    # -- the life of a job

    async def submit(self, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        return await self._database.repeated("submitting", lambda talk: submitting.submit(talk, jobs))

    async def spawn(self, session: UUID, claim: ClaimKey, children: Sequence[NewJob]) -> Sequence[Submitted]:
        return await self._database.repeated("spawning", lambda talk: submitting.spawn(talk, session, claim, children))

    async def submit_within(self, connection: object, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        talk = Talk(submitting.async_connection(connection), self._options.notify)
        with told(self._where, "submitting", timeout_seconds=self._options.timeout_seconds):
            return await submitting.submit_within(talk, jobs)

    def submit_within_sync(self, connection: object, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        own = submitting.blocking_connection(connection)
        with told(self._where, "submitting", timeout_seconds=self._options.timeout_seconds):
            return submitting.submit_within_sync(own, jobs, notify=self._options.notify)

    async def promote(self, *, limit: int) -> tuple[int, float | None]:
        return await self._database.repeated("promoting", lambda talk: claiming.promote(talk, limit=limit))

    async def claim(
        self, session: UUID, wants: Sequence[Want], *, cpus: float, memory_bytes: int, host: str
    ) -> Sequence[Claimed]:
        # Not repeated: what a first try took would not be in the second answer. `held` tells.
        return await self._database.once(
            "claiming", lambda talk: claiming.claim(talk, session, wants, cpus=cpus, memory_bytes=memory_bytes, host=host)
        )

    async def held(self, session: UUID) -> Sequence[Claimed]:
        return await self._database.repeated("reading what is held", lambda talk: claiming.held(talk, session))

    async def checkpoint(self, session: UUID, claim: ClaimKey, data: JsonText) -> None:
        await self._database.repeated("keeping a checkpoint", lambda talk: claiming.checkpoint(talk, session, claim, data))

    async def holds(self, session: UUID, claim: ClaimKey) -> bool:
        return await self._database.repeated("checking a claim", lambda talk: claiming.holds(talk, session, claim))

    async def record(
        self, session: UUID, *, progress: Sequence[Progress], logs: Sequence[LogChunk], ends: Sequence[End]
    ) -> Recorded:
        return await self._database.repeated(
            "recording", lambda talk: recording.record(talk, session, progress=progress, logs=logs, ends=ends)
        )

    async def cancel(self, jobs: Collection[UUID], *, grace_seconds: float | None = None) -> dict[UUID, CancelAnswer]:
        # Not repeated: a job that a first try cancelled would be told to have ended before.
        return await self._database.once("cancelling", lambda talk: changing.cancel(talk, jobs, grace_seconds=grace_seconds))

    async def cancel_children(self, session: UUID, claim: ClaimKey, jobs: Collection[UUID]) -> None:
        await self._database.repeated("cancelling children", lambda talk: changing.cancel_children(talk, session, claim, jobs))

    async def retry(self, job: UUID, *, fresh: bool = False) -> JobRecord:
        # Not repeated: the second try would find the job ready, and refuse.
        return await self._database.once("retrying", lambda talk: changing.retry(talk, job, fresh=fresh))

    async def update(self, job: UUID, changes: Changes) -> JobRecord:
        return await self._database.repeated("updating", lambda talk: changing.update(talk, job, changes))

    # -- sessions

    async def register(self, session: Session) -> None:
        await self._database.control("registering", lambda talk: coordinating.register(talk, session))

    async def tick(self, session: UUID, held: Collection[ClaimKey]) -> Tick:
        return await self._database.control("ticking", lambda talk: coordinating.tick(talk, session, held))

    async def forfeit(self, observer: UUID, *, session: UUID, tick: int, jitter: float) -> Sequence[ClaimKey] | None:
        # Not repeated: the second try would find the session fenced, and not say what was taken back. Nor on the connection of
        # the ticks: it waits for whatever the silent session is writing.
        return await self._database.once(
            "forfeiting", lambda talk: coordinating.forfeit(talk, observer, session=session, tick=tick, jitter=jitter)
        )

    async def end_session(self, session: UUID) -> None:
        await self._database.control("ending a session", lambda talk: coordinating.end_session(talk, session))

    async def drain(self, sessions: Collection[UUID]) -> None:
        await self._database.repeated("asking to drain", lambda talk: coordinating.drain(talk, sessions))

    # -- reading

    async def get(self, job: UUID) -> JobRecord | None:
        return (await self.get_many([job])).get(job)

    async def get_many(self, jobs: Collection[UUID]) -> dict[UUID, JobRecord]:
        return await self._database.repeated("reading jobs", lambda talk: reading.get_many(talk, jobs))

    async def find(self, tail: str, *, limit: int = 5) -> Sequence[UUID]:
        return await self._database.repeated("finding a job", lambda talk: reading.find(talk, tail, limit=limit))

    async def list(self, which: Filter) -> Sequence[JobRecord]:
        return await self._database.repeated("listing jobs", lambda talk: reading.list_jobs(talk, which))

    async def briefs(self, jobs: Collection[UUID]) -> dict[UUID, Brief]:
        return await self._database.repeated("reading where jobs stand", lambda talk: reading.briefs(talk, jobs))

    async def invocations(self, job: UUID) -> Sequence[InvocationRecord]:
        return await self._database.repeated("reading invocations", lambda talk: reading.invocations(talk, job))

    async def logs(self, job: UUID, *, claim: int, first: int, limit_chunks: int = 64) -> Sequence[LogChunk]:
        return await self._database.repeated(
            "reading a log", lambda talk: reading.logs(talk, job, claim=claim, first=first, limit_chunks=limit_chunks)
        )

    async def log_rows(self, job: UUID, *, claim: int, first: int, limit_rows: int = 1000) -> Sequence[tuple[int, int]]:
        return await self._database.repeated(
            "reading a log's rows", lambda talk: reading.log_rows(talk, job, claim=claim, first=first, limit_rows=limit_rows)
        )

    async def coordinators(self, *, ended: bool = False) -> Sequence[CoordinatorRecord]:
        return await self._database.repeated("reading coordinators", lambda talk: reading.coordinators(talk, ended=ended))

    async def health(self, *, whole: bool = False) -> Sequence[Checked]:
        facts = await self._database.repeated("examining", health.facts)
        heard = await health.heard(self._direct, self._database) if self._options.notify else None
        return health.told(facts, heard=heard, listen_url=self._options.listen_url is not None)

    # -- wake-ups

    def wakeups(self, topics: Collection[Topic]) -> AbstractAsyncContextManager[AsyncIterator[WakeUp]]:
        return self._listener.subscribe(topics) if self._options.notify else _silence(topics)


@asynccontextmanager
async def _silence(topics: Collection[Topic]) -> AsyncGenerator[Mailbox]:
    yield Mailbox(topics)
