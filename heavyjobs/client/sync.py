"""The same verbs for code without an event loop: Flask, Django, scripts. Only a bridge; what they do stands in `Client`."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Any, Final, Generic, Literal, Self, overload
from uuid import UUID

from typing_extensions import Unpack, override

from heavyjobs.client.bridge import Bridge
from heavyjobs.client.changing import Wanted
from heavyjobs.client.client import Client
from heavyjobs.client.handle import Handle
from heavyjobs.client.submitting import draft, draft_of_kind, insert
from heavyjobs.client.updates import Update
from heavyjobs.job import AnyJob, Job, JobConfig
from heavyjobs.model import CoordinatorRecord, E, InvocationRecord, JobRecord, JobState, LogLine, Outcome, R, S
from heavyjobs.store import StoreOptions
from heavyjobs.store.records import CancelAnswer, NewJob, Submitted
from heavyjobs.units import Duration


class SyncHandle(Generic[R, S, E]):
    """One job, as `Handle`, with verbs that block; all may be called from any thread."""

    def __init__(self, bridge: Bridge[Client], handle: Handle[R, S, E]) -> None:
        self.id: Final = handle.id
        self.kind: Final = handle.kind
        self.created: Final = handle.created
        self._bridge: Final = bridge
        self._handle: Final = handle

    @override
    def __repr__(self) -> str:
        return f"<SyncHandle {self._handle}>"

    def result(self, timeout: Duration | None = None) -> R:
        """As `Handle.result`."""
        return self._bridge.call(self._handle.result(timeout))

    def wait(self, timeout: Duration | None = None) -> Outcome[R, E] | None:
        """As `Handle.wait`."""
        return self._bridge.call(self._handle.wait(timeout))

    def outcome(self) -> Outcome[R, E] | None:
        """As `Handle.outcome`."""
        return self._bridge.call(self._handle.outcome())

    def job(self) -> JobRecord:
        """As `Handle.job`."""
        return self._bridge.call(self._handle.job())

    def status(self) -> S | None:
        """As `Handle.status`."""
        return self._bridge.call(self._handle.status())

    def watch(self, since: str | None = None, idle: Duration | None = None) -> Generator[Update[S]]:
        """As `Handle.watch`."""
        return self._bridge.iterate(self._handle.watch(since, idle))

    def logs(self, *, claim: int | None = None, follow: bool = False) -> Generator[LogLine]:
        """As `Handle.logs`."""
        return self._bridge.iterate(self._handle.logs(claim=claim, follow=follow))

    @overload
    def cancel(self, *, grace: Duration | None = None, wait: Literal[True] = True) -> Outcome[R, E]: ...
    @overload
    def cancel(self, *, grace: Duration | None = None, wait: bool) -> Outcome[R, E] | None: ...
    def cancel(self, *, grace: Duration | None = None, wait: bool = True) -> Outcome[R, E] | None:
        """As `Handle.cancel`."""
        return self._bridge.call(self._handle.cancel(grace=grace, wait=wait))

    def retry(self, *, fresh: bool = False) -> JobRecord:
        """As `Handle.retry`."""
        return self._bridge.call(self._handle.retry(fresh=fresh))

    def update(self, **wanted: Unpack[Wanted]) -> JobRecord:
        """As `Handle.update`."""
        return self._bridge.call(self._handle.update(**wanted))


class SyncClient:
    """As `Client`, with verbs that block; one for a whole process, all its threads may use it at once.

        with SyncClient.open("postgresql://…/app") as client:
            packed = client.submit(Pack(source="in", target="out.tar.zst")).result()

    Open it after forking, in each process. A program that does not close it ends all the same.
    """

    def __init__(self, bridge: Bridge[Client]) -> None:
        self._bridge: Final = bridge
        self._client: Final = bridge.value

    @classmethod
    def open(cls, url: str, *, options: StoreOptions | None = None, poll_seconds: float = 1.0) -> Self:
        """As `Client.open`; connected when it returns."""
        return cls(Bridge(lambda: Client.open(url, options=options, poll_seconds=poll_seconds)))

    def close(self) -> None:
        """Disconnect; calls that wait in other threads end with a UsageError. The jobs go on."""
        self._bridge.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- submitting

    def submit(
        self,
        job: Job[R, S, E],
        *,
        unique: str | None = None,
        delay: Duration | None = None,
        connection: object | None = None,
    ) -> SyncHandle[R, S, E]:
        """As `Client.submit`; a psycopg or sqlite3 `connection` is used in the calling thread."""
        drafted = draft(job, unique=unique, delay=delay)
        (submitted,) = self._insert([drafted.new], connection)
        return self._held(self._client.handle_of(drafted, submitted, connection=connection))

    @overload
    def submit_many(
        self, jobs: Sequence[Job[R, S, E]], *, delay: Duration | None = None, connection: object | None = None
    ) -> Sequence[SyncHandle[R, S, E]]: ...
    @overload
    def submit_many(
        self, jobs: Sequence[AnyJob], *, delay: Duration | None = None, connection: object | None = None
    ) -> Sequence[SyncHandle[Any, Any, Any]]: ...
    def submit_many(
        self, jobs: Sequence[AnyJob], *, delay: Duration | None = None, connection: object | None = None
    ) -> Sequence[SyncHandle[Any, Any, Any]]:
        """As `Client.submit_many`."""
        drafts = [draft(job, delay=delay) for job in jobs]
        submitted = self._insert([drafted.new for drafted in drafts], connection)
        return [
            self._held(self._client.handle_of(*pair, connection=connection)) for pair in zip(drafts, submitted, strict=True)
        ]

    def submit_kind(
        self,
        kind: str,
        parameters: Mapping[str, object],
        *,
        version: int | None = None,
        config: JobConfig | None = None,
        unique: str | None = None,
        delay: Duration | None = None,
        connection: object | None = None,
    ) -> SyncHandle[Any, Any, Any]:
        """As `Client.submit_kind`."""
        drafted = draft_of_kind(kind, parameters, version=version, config=config, unique=unique, delay=delay)
        (submitted,) = self._insert([drafted.new], connection)
        return self._held(self._client.handle_of(drafted, submitted, connection=connection))

    def _insert(self, jobs: Sequence[NewJob], connection: object | None) -> Sequence[Submitted]:
        if connection is not None and jobs:
            return self._client.store.submit_within_sync(connection, jobs)
        return self._bridge.call(insert(self._client.store, jobs, connection=None))

    def _held(self, handle: Handle[R, S, E]) -> SyncHandle[R, S, E]:
        return SyncHandle(self._bridge, handle)

    # -- finding

    @overload
    def handle(self, job: UUID | str, job_type: type[Job[R, S, E]]) -> SyncHandle[R, S, E]: ...
    @overload
    def handle(self, job: UUID | str) -> SyncHandle[Any, Any, Any]: ...
    def handle(self, job: UUID | str, job_type: type[AnyJob] | None = None) -> SyncHandle[Any, Any, Any]:
        """As `Client.handle`."""
        return self._held(self._client.handle(job) if job_type is None else self._client.handle(job, job_type))

    def find(self, tail: str) -> UUID:
        """As `Client.find`."""
        return self._bridge.call(self._client.find(tail))

    def list(
        self,
        *,
        states: Collection[JobState] = (),
        kinds: Collection[str] = (),
        queues: Collection[str] = (),
        parent: UUID | None = None,
        before: UUID | None = None,
        limit: int = 100,
    ) -> Sequence[JobRecord]:
        """As `Client.list`."""
        return self._bridge.call(
            self._client.list(states=states, kinds=kinds, queues=queues, parent=parent, before=before, limit=limit)
        )

    def get(self, job: UUID | str) -> JobRecord:
        """As `Client.get`."""
        return self._bridge.call(self._client.get(job))

    def invocations(self, job: UUID | str) -> Sequence[InvocationRecord]:
        """As `Client.invocations`."""
        return self._bridge.call(self._client.invocations(job))

    def logs(self, job: UUID | str, *, claim: int | None = None, follow: bool = False) -> Generator[LogLine]:
        """As `Client.logs`."""
        return self._bridge.iterate(self._client.logs(job, claim=claim, follow=follow))

    # -- changing

    def cancel(self, *jobs: UUID, grace: Duration | None = None) -> Mapping[UUID, CancelAnswer]:
        """As `Client.cancel`."""
        return self._bridge.call(self._client.cancel(*jobs, grace=grace))

    def retry(self, job: UUID | str, *, fresh: bool = False) -> JobRecord:
        """As `Client.retry`."""
        return self._bridge.call(self._client.retry(job, fresh=fresh))

    def update(self, job: UUID | str, **wanted: Unpack[Wanted]) -> JobRecord:
        """As `Client.update`."""
        return self._bridge.call(self._client.update(job, **wanted))

    # -- coordinators

    def coordinators(self, *, ended: bool = False) -> Sequence[CoordinatorRecord]:
        """As `Client.coordinators`."""
        return self._bridge.call(self._client.coordinators(ended=ended))

    def drain(self, name: str) -> Sequence[CoordinatorRecord]:
        """As `Client.drain`."""
        return self._bridge.call(self._client.drain(name))
