"""The timeout of one invocation, while its lane stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from heavyjobs.coordinator.dispatch import Dispatch
from heavyjobs.coordinator.invocation import Invocation
from heavyjobs.model import Policy
from heavyjobs.slots.process import WorkerProcess
from tests.coordinator.conftest import claimed
from tests.lifecycle.asking import until
from tests.slots.ears import start


@pytest.fixture
async def lane() -> AsyncIterator[WorkerProcess]:
    worker = await start(lane=True)
    yield worker
    await worker.end()


def invocation(lane: WorkerProcess, dispatch: Dispatch) -> Invocation:
    """Its timeout passes at once."""
    return Invocation(claimed(Policy(timeout_seconds=0.01)), lane, dispatch, log_bytes=0, kills_before=0)


async def test_a_timeout_waits_while_the_lane_stands_still(lane: WorkerProcess, dispatch: Dispatch) -> None:
    held_up, other = invocation(lane, dispatch), invocation(lane, dispatch)
    held_up.started()
    other.started()

    held_up.stands_still(600)

    await until(other.overdue)
    assert not held_up.overdue()


async def test_time_in_which_the_lane_stands_still_counts_once_for_a_parent_that_waits(
    lane: WorkerProcess, dispatch: Dispatch
) -> None:
    parent = invocation(lane, dispatch)
    parent.started()
    parent.wait_begins()

    parent.stands_still(600)
    parent.wait_ends()

    await until(parent.overdue)


async def test_time_in_which_the_lane_stood_still_before_a_job_started_is_not_taken_off_its_timeout(
    lane: WorkerProcess, dispatch: Dispatch
) -> None:
    late = invocation(lane, dispatch)

    late.stands_still(600)
    late.started()

    await until(late.overdue)
