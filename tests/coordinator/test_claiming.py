"""A claim whose answer was lost is found in the database, unless it is not ours to start any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from heavyjobs.coordinator.claiming import Claiming
from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.coordinator.families import Families
from heavyjobs.coordinator.host import new_session
from heavyjobs.coordinator.lease import Lease
from heavyjobs.coordinator.relay import Relay
from heavyjobs.events import WorkerOptions
from heavyjobs.model import ClaimKey, Policy, new_id
from heavyjobs.settings import CoordinatorSettings
from heavyjobs.slots.guardian import Guardian, boot_seconds
from heavyjobs.slots.pool import LaneKeeper, Pool
from heavyjobs.store.records import Claimed, NewJob, Want
from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.store.watching import Watcher
from heavyjobs.values import JsonText

LEASE_SECONDS = 60.0


@dataclass
class Holder:
    """A session that holds a claim without knowing it, and the clock of its lease."""

    claiming: Claiming
    dispatch: Dispatch
    unheard: ClaimKey
    clock: list[float]
    store: Counting


class Counting(SqliteStore):
    """Counts how often it was asked what a session holds."""

    looks = 0

    async def held(self, session: UUID) -> Sequence[Claimed]:
        self.looks += 1
        return await super().held(session)


@pytest.fixture
async def holder(tmp_path: Path) -> AsyncIterator[Holder]:
    session, guardian, options, clock = new_session("here"), Guardian(), WorkerOptions(marker="claiming"), [boot_seconds()]
    lease = Lease(LEASE_SECONDS, guardian, on_lapse=lambda: None, now=lambda: clock[0])
    async with Counting(f"sqlite:///{tmp_path}/jobs.db") as store:
        await store.migrate()
        await store.register(session)
        job = NewJob(id=new_id(), kind="tests.any", version=1, parameters=JsonText("{}"), policy=Policy())
        await store.submit([job])
        want = Want(queue="default", kind="tests.any", version=1, line="default", room=1)
        (unheard,) = await store.claim(session.id, [want], cpus=1, memory_bytes=0, host="here")
        pool = Pool(options, guardian, preload=(), on_idle=lambda: None, on_stillborn=lambda _why: None, target=0)
        dispatch = Dispatch(
            pool=pool,
            lane=LaneKeeper(options, guardian, preload=(), on_warm=lambda: None, on_stillborn=lambda _why: None),
            relay=Relay(store, session.id),
            lease=lease,
            families=Families(store, session.id, Watcher(store), lease, waits_changed=lambda: None),
            on_lane=frozenset(),
            log_bytes=0,
            spawn=nothing_runs,
            room=lambda: None,
            out_of_memory_kills=lambda: 0,
        )
        claiming = Claiming(
            store,
            session,
            dispatch,
            pool,
            lease,
            kinds={},
            host=CoordinatorSettings(),
            draining=asyncio.Event(),
            now=asyncio.Event(),
        )
        yield Holder(claiming, dispatch, unheard.claim, clock, store)


def nothing_runs(work: Coroutine[Any, Any, None], name: str) -> None:
    work.close()
    raise AssertionError(name)


async def test_a_claim_whose_answer_was_lost_is_found(holder: Holder) -> None:
    await holder.claiming._adopt()

    assert holder.dispatch.claims() == {holder.unheard}


async def test_a_claim_that_was_ended_because_the_lease_has_lapsed_is_not_taken_for_one_that_never_started(
    holder: Holder,
) -> None:
    holder.clock[0] += LEASE_SECONDS

    await holder.claiming._adopt()

    assert holder.dispatch.claims() == set()


async def test_doubt_about_one_claim_does_not_ask_for_all_that_is_held_beside_each_later_one(holder: Holder) -> None:
    holder.claiming._doubt()

    for _ in range(50):
        await holder.claiming._round()

    assert holder.dispatch.claims() == {holder.unheard}
    assert 1 <= holder.store.looks < 10
