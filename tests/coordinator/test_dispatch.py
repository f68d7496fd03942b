"""What a session holds, while ticks, records and claims cross each other; no worker is there, so all that is taken waits."""

from __future__ import annotations

from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.model import JobState
from heavyjobs.store.records import CancelOrder, Recorded
from tests.coordinator.conftest import claimed


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
