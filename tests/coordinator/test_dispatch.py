"""What a session holds, while ticks, records and claims cross each other; no worker is there, so all that is taken waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.coordinator.families import Families
from heavyjobs.coordinator.lease import Lease
from heavyjobs.coordinator.relay import Relay
from heavyjobs.events import WorkerOptions
from heavyjobs.model import ClaimKey, JobState, Policy, new_id
from heavyjobs.slots.guardian import Guardian
from heavyjobs.slots.pool import LaneKeeper, Pool
from heavyjobs.store import open_store
from heavyjobs.store.protocol import CancelOrder, Claimed, Recorded
from heavyjobs.store.watching import Watcher
from heavyjobs.values import JsonText


@pytest.fixture
async def dispatch(tmp_path: Path) -> AsyncIterator[Dispatch]:
    session, guardian, options = new_id(), Guardian(), WorkerOptions(marker="dispatch")
    lease = Lease(60, guardian, on_lapse=lambda: None)
    async with open_store(f"sqlite:///{tmp_path}/jobs.db") as store:
        yield Dispatch(
            pool=Pool(options, guardian, preload=(), on_idle=lambda: None, on_stillborn=print, target=0),
            lane=LaneKeeper(options, guardian, preload=(), on_warm=lambda: None, on_stillborn=print),
            relay=Relay(store, session),
            lease=lease,
            families=Families(store, session, Watcher(store), lease, waits_changed=lambda: None),
            on_lane=frozenset(),
            log_bytes=0,
            spawn=nothing_runs,
            room=lambda: None,
            out_of_memory_kills=lambda: 0,
        )


def nothing_runs(work: Coroutine[Any, Any, None], name: str) -> None:
    work.close()
    raise AssertionError(name)


def claimed() -> Claimed:
    return Claimed(
        claim=ClaimKey(new_id(), 1),
        epoch=1,
        attempt=1,
        unstarted=1,
        kind="tests.any",
        version=1,
        parameters=JsonText("{}"),
        policy=Policy(),
        depth=0,
        parent=None,
        checkpoint=None,
    )


async def test_a_tick_that_misses_a_claim_whose_end_is_being_written_changes_nothing(dispatch: Dispatch) -> None:
    job = claimed()
    dispatch.take([job])
    dispatch.cancel(CancelOrder(job.claim, None))

    dispatch.lose(job.claim)

    assert dispatch.claims() == {job.claim}, "whoever writes its end hears what became of it"
    assert not dispatch.empty.is_set()
    dispatch.settled(Recorded(lost=frozenset(), ended={job.claim: JobState.CANCELLED}))
    assert dispatch.claims() == set()
    assert dispatch.empty.is_set()


async def test_an_end_that_came_too_late_to_be_written_is_held_no_longer(dispatch: Dispatch) -> None:
    job = claimed()
    dispatch.take([job])
    dispatch.cancel(CancelOrder(job.claim, None))

    dispatch.settled(Recorded(lost=frozenset({job.claim}), ended={}))

    assert dispatch.claims() == set()
    assert dispatch.empty.is_set()


async def test_who_waits_for_the_last_job_notices_that_it_was_lost_before_it_reached_a_worker(dispatch: Dispatch) -> None:
    kept, lost = claimed(), claimed()
    dispatch.take([kept, lost])

    dispatch.lose(lost.claim)
    assert not dispatch.empty.is_set()
    dispatch.lose(kept.claim)

    assert dispatch.empty.is_set()


async def test_who_waits_for_the_last_job_notices_that_the_lease_has_lapsed(dispatch: Dispatch) -> None:
    dispatch.take([claimed()])

    dispatch.abandon()

    assert dispatch.empty.is_set()


async def test_only_what_is_not_known_and_was_not_settled_meanwhile_is_adopted(dispatch: Dispatch) -> None:
    known, settled, unknown = claimed(), claimed(), claimed()
    dispatch.take([known, settled])
    meanwhile = dispatch.watch_settling()
    dispatch.cancel(CancelOrder(settled.claim, None))
    dispatch.settled(Recorded(lost=frozenset(), ended={settled.claim: JobState.CANCELLED}))

    dispatch.adopt([known, settled, unknown], meanwhile)

    assert dispatch.claims() == {known.claim, unknown.claim}
    assert len(dispatch.held()) == 2
