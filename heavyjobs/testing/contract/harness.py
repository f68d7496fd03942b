"""What the promises are tested with: fixtures, and short names for the moves of a coordinator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final, Protocol, TypeAlias
from uuid import UUID

import pytest
import pytest_asyncio

from heavyjobs.logs import encode_lines, join_lines
from heavyjobs.model import (
    Bill,
    Cause,
    ClaimKey,
    Ending,
    InvocationRecord,
    JobRecord,
    JobState,
    Move,
    Policy,
    Session,
    Source,
    new_id,
)
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Claimed, End, LogChunk, NewJob, Progress, Recorded, StoreOptions, Want
from heavyjobs.values import JsonText

KIND: Final = "demo.work"
HOST: Final = "host-a"
PARAMETERS: Final = JsonText('{"n":1}')
DEADLINE_SECONDS: Final = 10.0
EAGER: Final = Policy(backoff_seconds=0.0)
"""A job with this policy is ready again at once when it failed."""

SUCCESS: Final = Move(JobState.SUCCEEDED)
DEATH: Final = Move(JobState.DEAD)
CANCEL: Final = Move(JobState.CANCELLED)
AGAIN: Final = Move(JobState.SCHEDULED, delay_seconds=60.0)
HAND_BACK: Final = Move(JobState.READY, charged=False)
STILL_ALIVE: Final = (Move(JobState.READY), AGAIN)

OpenStore: TypeAlias = Callable[[StoreOptions], Store]
"""Makes a store, not yet entered, on the database of this test; every call names the same one."""


class OwnConnection(Protocol):
    """An application's own blocking connection, on which a transaction begins with the first statement."""

    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


Connect: TypeAlias = Callable[[], OwnConnection]
"""Opens such a connection to the database of this test, as `submit_within_sync` takes it."""

PretendSchema: TypeAlias = Callable[[int, int], None]
"""Writes a version and `min_compatible` into the migrated database of this test, by the database's own means."""

MoreStores: TypeAlias = Callable[[], Awaitable[Store]]


class Harness:
    """The fixtures that all promises share."""

    @pytest.fixture
    def options(self) -> StoreOptions:
        return StoreOptions()

    @pytest_asyncio.fixture
    async def store(self, open_store: OpenStore, options: StoreOptions) -> AsyncIterator[Store]:
        """A store on a fresh, migrated database."""
        async with open_store(options) as store:
            await store.migrate()
            yield store

    @pytest_asyncio.fixture
    async def more_stores(self, store: Store, open_store: OpenStore, options: StoreOptions) -> AsyncIterator[MoreStores]:
        """Opens further stores on the same database, as other processes would."""
        assert store.url, "a store says where it is"
        async with AsyncExitStack() as stores:
            yield lambda: stores.enter_async_context(open_store(options))

    @pytest_asyncio.fixture
    async def session(self, store: Store) -> UUID:
        """A registered session."""
        return await register(store)


# -- submitting and claiming


def new_job(
    *,
    job: UUID | None = None,
    kind: str = KIND,
    version: int = 1,
    parameters: JsonText = PARAMETERS,
    policy: Policy = EAGER,
    delay_seconds: float = 0.0,
    unique_key: str | None = None,
    parent: UUID | None = None,
    child_key: str | None = None,
    depth: int = 0,
) -> NewJob:
    return NewJob(
        id=job or new_id(),
        kind=kind,
        version=version,
        parameters=parameters,
        policy=policy,
        delay_seconds=delay_seconds,
        unique_key=unique_key,
        parent=parent,
        child_key=child_key,
        depth=depth,
    )


async def submit(store: Store, *jobs: NewJob) -> list[UUID]:
    """Submit jobs (one plain job when none is given); their ids."""
    return [answer.id for answer in await store.submit(jobs or [new_job()])]


def new_session(name: str = HOST) -> Session:
    return Session(
        id=new_id(),
        name=name,
        host=name,
        boot_id="boot-1",
        pid=4711,
        pid_started=1_700_000_000.25,
        release="0.1.0",
        queues={"default": 4},
        kinds={KIND: 1},
    )


async def register(store: Store, name: str = HOST) -> UUID:
    session = new_session(name)
    await store.register(session)
    return session.id


def want(
    kind: str = KIND, *, queue: str = "default", version: int = 1, line: str = "default", room: int = 100, depth_min: int = 0
) -> Want:
    return Want(queue=queue, kind=kind, version=version, line=line, room=room, depth_min=depth_min)


async def take(
    store: Store, session: UUID, *wants: Want, cpus: float = 1e6, memory_bytes: int = 1 << 50, host: str = HOST
) -> Sequence[Claimed]:
    return await store.claim(session, wants or [want()], cpus=cpus, memory_bytes=memory_bytes, host=host)


async def claim_ids(store: Store, session: UUID, *wants: Want, cpus: float = 1e6, memory_bytes: int = 1 << 50) -> list[UUID]:
    return [claimed.claim.job for claimed in await take(store, session, *wants, cpus=cpus, memory_bytes=memory_bytes)]


async def claim_one(store: Store, session: UUID, *, room: int = 1) -> Claimed:
    [claimed] = await take(store, session, want(room=room))
    return claimed


async def running(store: Store, session: UUID, job: NewJob | None = None) -> ClaimKey:
    """Submit a job and claim it; nothing else may be ready."""
    await store.submit([job or new_job()])
    return (await claim_one(store, session)).claim


# -- recording


def news(
    claim: ClaimKey,
    *,
    started: float | None = 0.0,
    status: str | None = None,
    bill: Bill | None = None,
    slot: str = "slot-1",
) -> Progress:
    return Progress(
        claim=claim,
        slot=slot,
        started_ago_seconds=started,
        status=None if status is None else JsonText(status),
        bill=bill or Bill(),
    )


def end(
    claim: ClaimKey,
    move: Move = SUCCESS,
    ending: Ending | None = None,
    *,
    started: float | None = 0.0,
    status: str | None = None,
    bill: Bill | None = None,
    result: str | None = None,
    error: str | None = None,
    cause: Cause | None = None,
    log_dropped_lines: int = 0,
) -> End:
    """An end with `move`; its ending is the likeliest that moves a job so."""
    return End(
        progress=news(claim, started=started, status=status, bill=bill),
        ending=ending or _LIKELY[move.state],
        move=move,
        result=None if result is None else JsonText(result),
        error=None if error is None else JsonText(error),
        cause=cause,
        log_dropped_lines=log_dropped_lines,
    )


_LIKELY: Final = {
    JobState.SUCCEEDED: Ending.SUCCEEDED,
    JobState.DEAD: Ending.RAISED,
    JobState.CANCELLED: Ending.CANCELLED,
    JobState.SCHEDULED: Ending.RAISED,
    JobState.READY: Ending.HANDED_BACK,
}


def chunk(claim: ClaimKey, first: int, *texts: str) -> LogChunk:
    lines = [line for text in texts for line in encode_lines(1_700_000_000.5, Source.STDOUT, None, text)]
    return LogChunk(claim=claim, first=first, lines=len(lines), data=join_lines(lines))


async def record(
    store: Store,
    session: UUID,
    *,
    progress: Sequence[Progress] = (),
    logs: Sequence[LogChunk] = (),
    ends: Sequence[End] = (),
) -> Recorded:
    return await store.record(session, progress=progress, logs=logs, ends=ends)


async def finish(store: Store, session: UUID, claim: ClaimKey, move: Move = SUCCESS) -> JobState:
    """End a claim that is held; the state its job went to."""
    recorded = await record(store, session, ends=[end(claim, move)])
    assert not recorded.lost
    return recorded.ended[claim]


async def forfeit(store: Store, observer: UUID, silent: UUID) -> Sequence[ClaimKey] | None:
    """Forfeit a session at the tick number that the observer sees."""
    tick = {seen.id: seen.tick for seen in (await store.tick(observer, [])).others}
    return await store.forfeit(observer, session=silent, tick=tick[silent], jitter=0.5)


# -- looking


async def job_of(store: Store, job: UUID) -> JobRecord:
    record = await store.get(job)
    assert record is not None
    return record


async def state_of(store: Store, job: UUID) -> JobState:
    return (await job_of(store, job)).state


async def invocation_of(store: Store, claim: ClaimKey) -> InvocationRecord:
    [invocation] = [found for found in await store.invocations(claim.job) if found.claim == claim]
    return invocation


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `check` holds, or fail after the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await check():
        assert time.monotonic() < deadline, f"not true within {DEADLINE_SECONDS} s"
        await asyncio.sleep(0.005)
