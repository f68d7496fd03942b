"""The same mistake is told by the same text, whichever the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heavyjobs.errors import JobNotFound, WrongState
from heavyjobs.model import new_id, short_id
from heavyjobs.store import Store, open_store
from heavyjobs.store.records import Changes
from heavyjobs.testing.contract.harness import (
    DEATH,
    KIND,
    finish,
    forfeit,
    invocation_of,
    new_job,
    register,
    running,
    submit,
)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found: str = f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as store:
        await store.migrate()
        yield store


async def test_what_cannot_be_sent_again_is_told_with_what_can(store: Store) -> None:
    (job,) = await submit(store)

    with pytest.raises(WrongState) as caught:
        await store.retry(job)

    assert str(caught.value) == f"job {short_id(job)} is ready; only a dead or cancelled job can be sent again"


async def test_a_unique_key_that_is_taken_is_told_with_what_would_free_it(store: Store) -> None:
    claim = await running(store, await register(store), new_job(unique_key="k"))
    await finish(store, (await invocation_of(store, claim)).session, claim, DEATH)
    await submit(store, new_job(unique_key="k"))

    with pytest.raises(WrongState) as caught:
        await store.retry(claim.job)

    assert str(caught.value) == (
        f"job {short_id(claim.job)}: another job of kind {KIND} has its unique key 'k' now; let that one end, or cancel it"
    )


async def test_what_cannot_be_changed_is_told_with_when_it_can(store: Store) -> None:
    session = await register(store)
    claim = await running(store, session)

    with pytest.raises(WrongState) as delayed:
        await store.update(claim.job, Changes(delay_seconds=1))
    await finish(store, session, claim)
    with pytest.raises(WrongState) as late:
        await store.update(claim.job, Changes(priority=1))

    name = short_id(claim.job)
    assert str(delayed.value) == f"job {name} is running; its delay can be changed only while it waits"
    assert str(late.value) == f"job {name} is succeeded; only a job that has not ended can be changed"


async def test_a_job_that_is_not_there_is_told_with_how_that_may_be(store: Store) -> None:
    job = new_id()

    for verb in (store.retry(job), store.update(job, Changes(priority=1))):
        with pytest.raises(JobNotFound) as caught:
            await verb
        assert str(caught.value) == f"job {short_id(job)} is not in the database: never submitted, rolled back, or pruned"


async def test_an_invocation_whose_coordinator_went_silent_says_which(store: Store) -> None:
    claim = await running(store, silent := await register(store, "host-b"))

    await forfeit(store, await register(store), silent)

    cause = (await invocation_of(store, claim)).cause
    assert cause is not None
    assert cause.message == "the coordinator host-b went silent and was declared dead"
