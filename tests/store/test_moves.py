"""Every verb, tried on a job in every state, moves it as `MOVES` says, and each move of the table is made by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias
from uuid import UUID

import pytest

from heavyjobs.errors import WrongState
from heavyjobs.model import MOVES, ClaimKey, JobState, Move
from heavyjobs.store import Store, open_store
from heavyjobs.store.records import Changes
from heavyjobs.testing.contract.harness import (
    claim_one,
    end,
    forfeit,
    job_of,
    new_job,
    record,
    register,
    state_of,
    submit,
    take,
)

Moved: TypeAlias = tuple[JobState, JobState]


class Stage:
    """One job of each test, and the session that claims it."""

    def __init__(self, store: Store, session: UUID) -> None:
        self.store: Final = store
        self.session: Final = session

    async def job_in(self, state: JobState) -> UUID:
        delay = 3600.0 if state is JobState.SCHEDULED else 0.0
        (job,) = await submit(self.store, new_job(delay_seconds=delay))
        if state in {JobState.SCHEDULED, JobState.READY}:
            return job
        claim = (await claim_one(self.store, self.session)).claim
        assert claim.job == job
        if state is not JobState.RUNNING:
            await record(self.store, self.session, ends=[end(claim, Move(state))])
        return job

    async def claim_of(self, job: UUID) -> ClaimKey:
        return ClaimKey(job, (await job_of(self.store, job)).claim)


Deed: TypeAlias = Callable[[Stage, UUID], Awaitable[object]]


def ending(state: JobState, *, cancelled: bool) -> Deed:
    async def do(stage: Stage, job: UUID) -> None:
        claim = await stage.claim_of(job)
        if cancelled:
            await stage.store.cancel([job])
        await record(stage.store, stage.session, ends=[end(claim, Move(state, 60 if state is JobState.SCHEDULED else 0))])

    return do


async def forfeiting(stage: Stage, _job: UUID) -> None:
    observer = await register(stage.store, "observer")
    await forfeit(stage.store, observer, stage.session)


async def retrying(stage: Stage, job: UUID) -> None:
    await stage.store.retry(job)


async def putting_off(stage: Stage, job: UUID) -> None:
    await stage.store.update(job, Changes(delay_seconds=3600))


async def bringing_forward(stage: Stage, job: UUID) -> None:
    await stage.store.update(job, Changes(delay_seconds=0))


async def falling_due(stage: Stage, job: UUID) -> None:
    await stage.store.update(job, Changes(delay_seconds=1e-6))
    await stage.store.promote(limit=10)


async def claiming(stage: Stage, _job: UUID) -> None:
    await take(stage.store, stage.session)


async def cancelling(stage: Stage, job: UUID) -> None:
    await stage.store.cancel([job])


DEEDS: Final[dict[str, Deed]] = {
    "claim": claiming,
    "cancel": cancelling,
    "retry": retrying,
    "put off": putting_off,
    "bring forward": bringing_forward,
    "promote": falling_due,
    "forfeit": forfeiting,
    **{f"end as {state}": ending(state, cancelled=False) for state in MOVES[JobState.RUNNING]},
    **{f"end as {state} after a cancel": ending(state, cancelled=True) for state in MOVES[JobState.RUNNING]},
}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found: str = f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
async def stage(url: str) -> AsyncIterator[Stage]:
    async with open_store(url) as store:
        await store.migrate()
        yield Stage(store, await register(store))


async def test_every_verb_moves_jobs_as_the_table_says_and_all_moves_are_made(stage: Stage) -> None:
    made: dict[Moved, str] = {}
    for before in JobState:
        for name, deed in DEEDS.items():
            stage = Stage(stage.store, await register(stage.store))
            job = await stage.job_in(before)
            try:
                await deed(stage, job)
            except WrongState:
                assert await state_of(stage.store, job) is before, f"{name}: refused, and changed all the same"
            now = await state_of(stage.store, job)
            if now is not before:
                made[before, now] = name
            await leave(stage, job)

    table = {(before, now) for before, allowed in MOVES.items() for now in allowed}
    assert set(made) == table, {move: made.get(move) for move in set(made) ^ table}


async def leave(stage: Stage, job: UUID) -> None:
    """Out of the way of the next one."""
    await stage.store.cancel([job])
    if await state_of(stage.store, job) is JobState.RUNNING:
        await record(stage.store, stage.session, ends=[end(await stage.claim_of(job), Move(JobState.CANCELLED))])
