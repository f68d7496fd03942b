"""Submit jobs and find them again: the door for application code that has an event loop."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Self, overload
from uuid import UUID

from typing_extensions import Unpack

from heavyjobs.client.changing import Wanted
from heavyjobs.client.durations import read_seconds
from heavyjobs.client.handle import Handle
from heavyjobs.client.opening import Opening
from heavyjobs.client.reading import Reader
from heavyjobs.client.submitting import Draft, draft, draft_of_kind, insert
from heavyjobs.errors import AmbiguousId, JobNotFound, UsageError
from heavyjobs.job import AnyJob, Job, JobConfig
from heavyjobs.model import CoordinatorRecord, E, InvocationRecord, JobRecord, JobState, LogLine, R, S
from heavyjobs.store import Store, StoreOptions, open_store
from heavyjobs.store.patience import repeated
from heavyjobs.store.preparing import prepare_schema
from heavyjobs.store.records import CancelAnswer, Filter, Submitted
from heavyjobs.store.watching import Watcher, not_found
from heavyjobs.units import Duration


class Client:
    """One pool of connections, one listener and one poll, however many callers await; for one event loop.

        async with Client.open("postgresql://…/app") as client:
            handle = await client.submit(Pack(source="in", target="out.tar.zst"))
            packed = await handle.result()

    `Client(store)` uses a store that is entered already; enter it too.

    Args:
        poll_seconds: how late news may be when no wake-up comes.
    """

    def __init__(self, store: Store, *, poll_seconds: float = 1.0) -> None:
        self.store: Final = store
        self._watcher: Final = Watcher(store, poll_seconds=poll_seconds)

    @classmethod
    def open(
        cls, url: str, *, options: StoreOptions | None = None, poll_seconds: float = 1.0
    ) -> AbstractAsyncContextManager[Self]:
        """Connect to a database, for as long as the block runs.

        A SQLite file gets its tables, or is brought to this release's, by itself; PostgreSQL by `heavyjobs migrate` alone.

        Raises:
            ConfigurationError: no store speaks that URL.
            StoreUnavailable: the database cannot be reached or used.
            SchemaMismatch: this release cannot work on the database's schema; says what would do.
            UsageError: used without `async with`.
        """
        return Opening(cls._opened(url, options, poll_seconds))

    @classmethod
    @asynccontextmanager
    async def _opened(cls, url: str, options: StoreOptions | None, poll_seconds: float) -> AsyncGenerator[Self]:
        async with open_store(url, options) as store:
            await prepare_schema(store)
            async with cls(store, poll_seconds=poll_seconds) as client:
                yield client

    async def __aenter__(self) -> Self:
        await self._watcher.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._watcher.__aexit__(*exc_info)

    # -- submitting

    async def submit(
        self,
        job: Job[R, S, E],
        *,
        unique: str | None = None,
        delay: Duration | None = None,
        connection: object | None = None,
    ) -> Handle[R, S, E]:
        """Store the job; a coordinator runs it as soon as it can.

        Args:
            unique: while a job of this kind with this key has not ended, its handle is returned and nothing is submitted.
            delay: run it no sooner than this from now.
            connection: a psycopg or sqlite3 connection of the caller's own to the same database; the job joins its
                transaction, and exists only once that is committed.

        Raises:
            InvalidParameters, Unstorable: the job cannot be run so, or not be stored.
            UsageError: not a job (its class, its kind), or a delay that is none.
            StoreUnavailable: after several tries; the job may or may not have been stored, and nobody has its handle. With
                a unique key it is safe to submit it again.
        """
        drafted = draft(job, unique=unique, delay=delay)
        (submitted,) = await insert(self.store, [drafted.new], connection=connection)
        return self.handle_of(drafted, submitted, connection=connection)

    @overload
    async def submit_many(
        self, jobs: Sequence[Job[R, S, E]], *, delay: Duration | None = None, connection: object | None = None
    ) -> Sequence[Handle[R, S, E]]: ...
    @overload
    async def submit_many(
        self, jobs: Sequence[AnyJob], *, delay: Duration | None = None, connection: object | None = None
    ) -> Sequence[Handle[Any, Any, Any]]: ...
    async def submit_many(
        self, jobs: Sequence[AnyJob], *, delay: Duration | None = None, connection: object | None = None
    ) -> Sequence[Handle[Any, Any, Any]]:
        """Store many jobs in one round trip: all of them or, when one cannot be stored, none. Handles in the same order."""
        drafts = [draft(job, delay=delay) for job in jobs]
        submitted = await insert(self.store, [drafted.new for drafted in drafts], connection=connection)
        return [self.handle_of(*pair, connection=connection) for pair in zip(drafts, submitted, strict=True)]

    async def submit_kind(
        self,
        kind: str,
        parameters: Mapping[str, object],
        *,
        version: int | None = None,
        config: JobConfig | None = None,
        unique: str | None = None,
        delay: Duration | None = None,
        connection: object | None = None,
    ) -> Handle[Any, Any, Any]:
        """Store a job whose class this service does not import. Its results come as plain data, whatever is imported.

        Args:
            version: of the parameters. None means today's where the class is known here, else 1.
            config: how it is to be run. None means what the class says where it is known here, else the defaults.
        """
        drafted = draft_of_kind(kind, parameters, version=version, config=config, unique=unique, delay=delay)
        (submitted,) = await insert(self.store, [drafted.new], connection=connection)
        return self.handle_of(drafted, submitted, connection=connection)

    def handle_of(self, drafted: Draft[R, S, E], submitted: Submitted, *, connection: object | None) -> Handle[R, S, E]:
        """The handle of a draft that was inserted."""
        return Handle(
            self.store,
            self._watcher,
            drafted.reader,
            job=submitted.id,
            kind=drafted.new.kind,
            created=submitted.id == drafted.new.id,
            connection=connection,
        )

    # -- finding

    @overload
    def handle(self, job: UUID | str, job_type: type[Job[R, S, E]]) -> Handle[R, S, E]: ...
    @overload
    def handle(self, job: UUID | str) -> Handle[Any, Any, Any]: ...
    def handle(self, job: UUID | str, job_type: type[AnyJob] | None = None) -> Handle[Any, Any, Any]:
        """The job with that id, typed by its class, without asking the database; without a class its values are plain data.

        Raises:
            JobNotFound: the text is not an id at all.
        """
        kind = None if job_type is None else job_type.kind
        return Handle(self.store, self._watcher, Reader[Any, Any, Any](job_type), job=_id(job), kind=kind)

    async def find(self, tail: str) -> UUID:
        """The id that ends in `tail`, dashes ignored; also the short form that people are shown.

        Raises:
            JobNotFound: none does.
            AmbiguousId: several do; says some of them.
        """
        digits = tail.replace("-", "").lower()
        head = ""
        if short := re.fullmatch(r"([0-9a-f]{8})-([0-9a-f]{6})", tail.lower()):
            head, digits = short.groups()
        if not re.fullmatch(r"[0-9a-f]{1,32}", digits):
            raise JobNotFound(f"{tail!r} is not the end of a job's id; ids are made of the digits 0-9 and a-f")
        found = [job for job in await self.store.find(digits) if job.hex.startswith(head)]
        match found:
            case [job]:
                return job
            case []:
                raise JobNotFound(f"no job's id ends in {tail}")
            case _:
                some = ", ".join(str(job) for job in found)
                raise AmbiguousId(f"several ids end in {tail}, among them {some}; give more digits")

    async def list(
        self,
        *,
        states: Collection[JobState] = (),
        kinds: Collection[str] = (),
        queues: Collection[str] = (),
        parent: UUID | None = None,
        before: UUID | None = None,
        limit: int = 100,
    ) -> Sequence[JobRecord]:
        """Jobs, newest first; empty collections mean any.

        Args:
            before: only jobs older than this one: the next page.

        Raises:
            Unstorable: a name that no job can have.
        """
        return await self.store.list(
            Filter(states=states, kinds=kinds, queues=queues, parent=parent, before=before, limit=limit)
        )

    async def get(self, job: UUID | str) -> JobRecord:
        """A job's row. Raises JobNotFound."""
        return await self.handle(job).job()

    async def invocations(self, job: UUID | str) -> Sequence[InvocationRecord]:
        """All its runs, oldest first, with their bills. Raises JobNotFound."""
        found = await self.store.invocations(_id(job))
        if not found:
            await self.get(job)
        return found

    def logs(self, job: UUID | str, *, claim: int | None = None, follow: bool = False) -> AsyncGenerator[LogLine, None]:
        """A job's log, as `Handle.logs` gives it."""
        return self.handle(job).logs(claim=claim, follow=follow)

    # -- changing

    async def retry(self, job: UUID | str, *, fresh: bool = False) -> JobRecord:
        """Send a dead or cancelled job again, as `Handle.retry` does."""
        return await self.handle(job).retry(fresh=fresh)

    async def update(self, job: UUID | str, **wanted: Unpack[Wanted]) -> JobRecord:
        """Change how a job is to be run, as `Handle.update` does."""
        return await self.handle(job).update(**wanted)

    async def cancel(self, *jobs: UUID, grace: Duration | None = None) -> Mapping[UUID, CancelAnswer]:
        """Cancel jobs and all that they spawned, in one round trip, without waiting; `Handle.cancel` waits.

        Raises:
            JobNotFound: for the first that does not exist; the others are cancelled.
        """
        grace_seconds = read_seconds("grace", grace)
        answers = await repeated(lambda: self.store.cancel(jobs, grace_seconds=grace_seconds))
        for job in jobs:
            if job not in answers:
                raise not_found(job)
        return answers

    # -- coordinators

    async def coordinators(self, *, ended: bool = False) -> Sequence[CoordinatorRecord]:
        """Those that live, or with `ended` also the others, newest first."""
        return await self.store.coordinators(ended=ended)

    async def drain(self, name: str) -> Sequence[CoordinatorRecord]:
        """Ask the coordinators of that name, host or session to finish what they run, take nothing new, and end.

        Returns:
            Those that were asked.

        Raises:
            UsageError: no live coordinator is called so; says which are.
        """
        live = await self.coordinators()
        meant = [one for one in live if name in (one.session.name, one.session.host, str(one.session.id))]
        if not meant:
            names = ", ".join(sorted({one.session.name for one in live})) or "none"
            raise UsageError(f"no live coordinator is called {name!r}; live: {names}")
        await repeated(lambda: self.store.drain([one.session.id for one in meant]))
        return meant


def _id(job: UUID | str) -> UUID:
    if isinstance(job, UUID):
        return job
    try:
        return UUID(str(job))
    except ValueError:
        raise JobNotFound(f"{str(job)[:80]!r} is not a job's id; for the end of one, use find") from None
