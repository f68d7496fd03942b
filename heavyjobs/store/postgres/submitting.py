"""Jobs go in: each once, whatever is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, args_row, kwargs_row, scalar_row

from heavyjobs.errors import StoreUnavailable, UsageError
from heavyjobs.model import ClaimKey
from heavyjobs.store.limits import check_jobs
from heavyjobs.store.postgres.talking import SQL, Connection, Talk
from heavyjobs.store.postgres.wakeups import News, written
from heavyjobs.store.records import NewJob, Submitted
from heavyjobs.store.refusals import no_more_children
from heavyjobs.values import JsonText

SETTLE_TRIES: Final = 10


class Settling:
    """Which jobs of a batch still have no answer.

    A job whose key was taken and freed, or taken by another transaction (or by the same batch) while the statement ran, is
    neither inserted nor has it an owner that the statement could see; the next statement sees more.
    """

    def __init__(self, jobs: Sequence[NewJob], *, parent_claim: int | None = None) -> None:
        check_jobs(jobs)
        self._answers: Final[list[Submitted | None]] = [None] * len(jobs)
        self._jobs: Final = jobs
        self._parent_claim: Final = parent_claim
        self._tries = 0

    def open(self) -> list[int]:
        """Places of the jobs without answer.

        Raises:
            StoreUnavailable: this has gone on for too long.
        """
        places = [place for place, answer in enumerate(self._answers) if answer is None]
        if places and self._tries == SETTLE_TRIES:
            raise StoreUnavailable("submitting: keys of these jobs are taken and freed too fast; try again")
        self._tries += 1
        return places

    def values(self, places: Sequence[int]) -> dict[str, object]:
        """What the statement is asked with."""
        return {**_values([self._jobs[place] for place in places]), "parent_claim": self._parent_claim}

    def settle(self, places: Sequence[int], answers: Sequence[Submitted | None]) -> None:
        for place, answer in zip(places, answers, strict=True):
            self._answers[place] = answer

    def answers(self) -> list[Submitted]:
        return [answer for answer in self._answers if answer is not None]


async def submit(talk: Talk, jobs: Sequence[NewJob]) -> list[Submitted]:
    """See `Store.submit`. A transaction for each statement: a batch is split only where keys change hands meanwhile."""
    settling = Settling(jobs)
    while places := settling.open():
        async with talk.connection.pipeline():
            cursor = await talk.ask("submit", _submitted, **settling.values(places))
            await talk.tell(news_of(jobs))
        settling.settle(places, await cursor.fetchall())
    return settling.answers()


async def spawn(talk: Talk, session: UUID, claim: ClaimKey, children: Sequence[NewJob]) -> list[Submitted]:
    """See `Store.spawn`. Everything is sent at once; whether the claim holds is looked at before the commit."""
    settling = Settling(children, parent_claim=claim.number)
    places = settling.open()
    if not places:
        return []
    spawned = {"parent": claim.job, "claim": claim.number, "child_keys": [child.child_key for child in children]}
    async with talk.together():
        holding = await talk.ask("parent_held", scalar_row, session=session, parent=claim.job, claim=claim.number)
        sending = await talk.ask("send_again", args_row(_SentAgain), **spawned)
        await talk.do("note_spawn", **spawned)
        submitting = await talk.ask("submit", _submitted, **settling.values(places))
        await talk.answers()
        if not await holding.fetchall():
            raise no_more_children(claim)
        again = await sending.fetchall()
        settling.settle(places, await submitting.fetchall())
        await _settle(talk, settling)
        queues = {child.policy.queue for child in children} | {one.queue for one in again}
        await talk.tell(News(ready=queues, jobs=[one.job for one in again]))
    return settling.answers()


async def submit_within(talk: Talk, jobs: Sequence[NewJob]) -> list[Submitted]:
    """See `Store.submit_within`."""
    settling = Settling(jobs)
    await _settle(talk, settling)
    await talk.tell(news_of(jobs))
    return settling.answers()


def submit_within_sync(connection: psycopg.Connection[TupleRow], jobs: Sequence[NewJob], *, notify: bool) -> list[Submitted]:
    """See `Store.submit_within_sync`."""
    settling = Settling(jobs)
    with connection.cursor(binary=True, row_factory=_submitted) as cursor:
        while places := settling.open():
            settling.settle(places, cursor.execute(SQL["submit"], settling.values(places)).fetchall())
        if notify and (payload := written(news_of(jobs))):
            cursor.execute(SQL["notify"], {"payload": payload})
    return settling.answers()


def news_of(jobs: Sequence[NewJob]) -> News:
    """A scheduled job is news for its queue too: someone may be waiting for a later one."""
    return News(ready={job.policy.queue for job in jobs})


async def _settle(talk: Talk, settling: Settling) -> None:
    """Insert what has no answer yet, within a transaction."""
    while places := settling.open():
        settling.settle(places, await talk.rows("submit", _submitted, **settling.values(places)))


class _SentAgain(NamedTuple):
    job: UUID
    queue: str


def blocking_connection(connection: object) -> psycopg.Connection[TupleRow]:
    """The caller's own connection, if it is one that would do.

    Raises:
        UsageError: says which would do.
    """
    if isinstance(connection, psycopg.Connection):
        return connection  # pyright: ignore[reportUnknownVariableType]  # of any row; our cursors have their own
    raise UsageError(f"submit within a transaction: {_got(connection)}, not a psycopg.Connection; {_WOULD_DO}")


def async_connection(connection: object) -> Connection:
    """The same for a connection of asyncio."""
    if isinstance(connection, AsyncConnection):
        return connection  # pyright: ignore[reportUnknownVariableType]  # of any row; our cursors have their own
    raise UsageError(f"submit within a transaction: {_got(connection)}, not a psycopg.AsyncConnection; {_WOULD_DO}")


_WOULD_DO: Final = (
    "Client takes a psycopg.AsyncConnection, SyncClient a psycopg.Connection; of SQLAlchemy on psycopg 3 that is"
    " (await connection.get_raw_connection()).driver_connection"
)


def _got(connection: object) -> str:
    return f"got {type(connection).__module__}.{type(connection).__qualname__}"


def _values(jobs: Sequence[NewJob]) -> dict[str, object]:
    policies = [job.policy for job in jobs]
    return {
        "ids": [job.id for job in jobs],
        "kinds": [job.kind for job in jobs],
        "versions": [job.version for job in jobs],
        "queues": [policy.queue for policy in policies],
        "priorities": [policy.priority for policy in policies],
        "attempts": [policy.attempts for policy in policies],
        "backoffs": [float(policy.backoff_seconds) for policy in policies],
        "backoff_maxes": [float(policy.backoff_max_seconds) for policy in policies],
        "timeouts": [_float(policy.timeout_seconds) for policy in policies],
        "graces": [float(policy.grace_seconds) for policy in policies],
        "cpus": [float(policy.cpus) for policy in policies],
        "memories": [policy.memory_bytes for policy in policies],
        "delays": [float(job.delay_seconds) for job in jobs],
        "unique_keys": [job.unique_key for job in jobs],
        "parents": [job.parent for job in jobs],
        "child_keys": [job.child_key for job in jobs],
        "depths": [job.depth for job in jobs],
        "parameters": [job.parameters for job in jobs],
    }


def _float(value: float | None) -> float | None:
    """An array must hold floats only, and an int is a float to the type checkers."""
    return None if value is None else float(value)


@kwargs_row
def _submitted(*, job: UUID | None, created: bool, kind: str, parameters: JsonText) -> Submitted | None:
    return None if job is None else Submitted(job, created, kind, parameters)
