"""A job in the hands of application code: await it, watch it, change it, with the types of its class."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager
from typing import Final, Generic, Literal, TypeVar, overload
from uuid import UUID

from typing_extensions import Unpack, override

from heavyjobs.client.changing import Wanted, changes
from heavyjobs.client.durations import read_seconds
from heavyjobs.client.logreading import last_lines
from heavyjobs.client.reading import Reader
from heavyjobs.client.sending_again import send_again
from heavyjobs.client.streaming import Stream, log
from heavyjobs.client.transactions import still_open
from heavyjobs.client.updates import Position, Update
from heavyjobs.errors import JobCancelled, JobDead, JobNotFound, NotCommitted
from heavyjobs.model import Cause, Dead, E, JobRecord, LogLine, Outcome, R, S, Succeeded, short_id
from heavyjobs.store.patience import repeated
from heavyjobs.store.protocol import Store
from heavyjobs.store.watching import Watcher, not_found
from heavyjobs.units import Duration, show_seconds

T = TypeVar("T")

LOG_TAIL_LINES: Final = 20


class Handle(Generic[R, S, E]):
    """One job; made by a client, without I/O. All verbs may be called at once, from any task of the client's event loop.

    Every verb raises
        JobNotFound: the database does not have the job.
        NotCommitted: it was submitted in a transaction that is still open.
        JobMismatch: it is of another kind, or what it left does not fit its class any more.
        StoreUnavailable: the database is away; those that wait go on waiting instead.
        UsageError: a duration that is none.

    Attributes:
        id: the job's.
        kind: its kind; None for a handle made from an id alone.
        created: whether the submit that returned this handle made the job; False when a live one had the unique key.
    """

    def __init__(
        self,
        store: Store,
        watcher: Watcher,
        reader: Reader[R, S, E],
        *,
        job: UUID,
        kind: str | None = None,
        created: bool = False,
        connection: object | None = None,
    ) -> None:
        self.id: Final = job
        self.kind: Final = kind
        self.created: Final = created
        self._store: Final = store
        self._watcher: Final = watcher
        self._reader: Final = reader
        self._connection = connection

    @override
    def __repr__(self) -> str:
        return f"<Handle {self}>"

    @override
    def __str__(self) -> str:
        return short_id(self.id) + (f" ({self.kind})" if self.kind else "")

    # -- awaiting

    async def result(self, timeout: Duration | None = None) -> R:
        """Wait for the job to end, and give its result.

        Raises:
            JobDead: it will not be tried again; with its typed error, cause, traceback and the last lines of its log.
            JobCancelled: it was cancelled.
            TimeoutError: it had not ended after `timeout`; it goes on, untouched.
        """
        record = await self._ended(timeout)
        if record is None:
            raise TimeoutError(
                f"job {self} had not ended after {show_seconds(read_seconds('timeout', timeout) or 0)}; it goes on"
            )
        match self._reader.outcome(record):
            case Succeeded(result):
                return result
            case Dead(error, cause):
                tail = await repeated(lambda: last_lines(self._store, self.id, most=LOG_TAIL_LINES))
                raise JobDead(_obituary(record, cause), job_id=self.id, cause=cause, error=error, log_tail=tail)
            case _:
                raise JobCancelled(f"job {short_id(self.id)} ({record.kind}) was cancelled", job_id=self.id, cause=record.cause)

    async def wait(self, timeout: Duration | None = None) -> Outcome[R, E] | None:
        """Wait for the job to end; how it ended, or None when it had not after `timeout`: it goes on, untouched."""
        record = await self._ended(timeout)
        return None if record is None else self._reader.outcome(record)

    async def outcome(self) -> Outcome[R, E] | None:
        """How the job ended, without waiting; None while it has not."""
        return self._reader.outcome(await self.job())

    # -- looking

    async def job(self) -> JobRecord:
        """Its row: state, parameters, attempts, times."""
        with self._committed():
            if record := await self._store.get(self.id):
                return record
            raise not_found(self.id)

    async def status(self) -> S | None:
        """The latest status of its newest invocation; None when there is none yet."""
        with self._committed():
            brief = (await self._store.briefs([self.id])).get(self.id)
            if brief is None:
                raise not_found(self.id)
        return None if brief.status is None else self._reader.status(brief.status)

    def watch(self, since: str | None = None, idle: Duration | None = None) -> AsyncGenerator[Update[S], None]:
        """Everything that happens to the job, from the start or from a cursor, up to its end.

        Args:
            since: the cursor of the last update that was seen, also by another client: nothing is lost or repeated.
            idle: gives an `Idle` whenever nothing happened for so long.
        """
        stream = Stream(
            self._store,
            self.id,
            position=Position.read(since) if since else Position(),
            read_status=self._reader.status,
        )
        return self._checked(stream.updates(self._watcher, idle_seconds=read_seconds("idle", idle)))

    def logs(self, *, claim: int | None = None, follow: bool = False) -> AsyncGenerator[LogLine, None]:
        """Its log over all invocations in order, or of invocation number `claim` alone.

        Args:
            follow: go on until the job (or that invocation) has ended, through its retries, and everything was given.
        """
        return self._checked(log(self._store, self._watcher, self.id, claim=claim, follow=follow))

    # -- changing

    @overload
    async def cancel(self, *, grace: Duration | None = None, wait: Literal[True] = True) -> Outcome[R, E]: ...
    @overload
    async def cancel(self, *, grace: Duration | None = None, wait: bool) -> Outcome[R, E] | None: ...
    async def cancel(self, *, grace: Duration | None = None, wait: bool = True) -> Outcome[R, E] | None:
        """Cancel the job and all that it spawned.

        Args:
            grace: between the request to stop and the end by force; None means the job's own.
            wait: return when its whole process tree is gone for certain; otherwise at once.

        Returns:
            How it ended: `Cancelled`, or another outcome that came first. Without `wait`, None while it is being stopped.
        """
        grace_seconds = read_seconds("grace", grace)
        with self._committed():
            answers = await repeated(lambda: self._store.cancel([self.id], grace_seconds=grace_seconds))
            if self.id not in answers:
                raise not_found(self.id)
        return await (self.wait() if wait else self.outcome())

    async def retry(self, *, fresh: bool = False) -> JobRecord:
        """Send the job again after it is dead or was cancelled, with a new budget of attempts.

        Args:
            fresh: forget its checkpoint.

        Raises:
            WrongState: it has not ended, has succeeded, or its unique key is taken; nothing was changed.
        """
        with self._committed():
            return await send_again(self._store, self.id, fresh=fresh)

    async def update(self, **wanted: Unpack[Wanted]) -> JobRecord:
        """Change how the job is to be run; what runs now keeps what it was started with.

        Raises:
            WrongState: it has ended, or it runs and the delay was to change.
            UsageError: nothing to change, something that does not change, or a value that no job may have.
        """
        plain = changes(**wanted)
        with self._committed():
            return await repeated(lambda: self._store.update(self.id, plain))

    # -- helpers

    async def _ended(self, timeout: Duration | None) -> JobRecord | None:
        within = read_seconds("timeout", timeout)
        if within == 0:
            record = await self.job()
            return record if record.state.ended else None
        with self._committed():
            try:
                async with asyncio.timeout(within):
                    return (await self._watcher.ended([self.id]))[self.id]
            except TimeoutError:
                return None

    @contextmanager
    def _committed(self) -> Generator[None]:
        """Tell a job whose transaction is open from one that does not exist."""
        try:
            yield
        except JobNotFound:
            if self._connection is not None and still_open(self._connection):
                raise NotCommitted(
                    f"job {self} was submitted in a transaction that is still open; commit first, then await it"
                ) from None
            raise

    async def _checked(self, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        with self._committed():
            async with aclosing(items):
                async for item in items:
                    yield item


def _obituary(record: JobRecord, cause: Cause) -> str:
    tries = f"after attempt {record.attempt} of {record.policy.attempts}" if record.attempt else "before it was started"
    return f"job {short_id(record.id)} ({record.kind}) is dead {tries}: {cause.message}"
