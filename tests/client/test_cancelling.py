"""A cancel returns when the job is gone for certain, and never undoes what had ended before."""

from __future__ import annotations

import asyncio

import pytest

from heavyjobs import Cancelled, Client, JobState, Succeeded
from tests.client.player import Bake, Baked, Player


async def test_a_waiting_job_is_cancelled_at_once(client: Client) -> None:
    ready, scheduled = await client.submit(Bake()), await client.submit(Bake(), delay="1h")

    assert await ready.cancel() == Cancelled()
    assert await scheduled.cancel(wait=False) == Cancelled()
    assert (await ready.job()).state is JobState.CANCELLED


async def test_a_cancel_of_a_running_job_returns_when_its_coordinator_has_ended_it(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    claim = await player.claim()
    cancelling = asyncio.create_task(handle.cancel(grace="5s"))

    (order,) = await player.cancels(claim)

    assert order.claim == claim
    assert order.grace_seconds == 5
    assert not cancelling.done()
    await player.obey_cancel(claim)
    assert await cancelling == Cancelled()


async def test_a_cancel_that_does_not_wait_returns_while_the_job_is_being_stopped(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    claim = await player.claim()

    assert await handle.cancel(wait=False) is None

    job = await handle.job()
    assert job.state is JobState.RUNNING
    assert job.cancel_requested_at is not None
    await player.obey_cancel(claim)
    assert await handle.wait(timeout=10) == Cancelled()


@pytest.mark.fault("people: a result comes before its cancel is obeyed")
async def test_a_result_that_comes_before_the_cancel_is_obeyed_stands(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    claim = await player.claim()
    cancelling = asyncio.create_task(handle.cancel())
    await player.cancels(claim)

    await player.succeed(claim)

    assert await cancelling == Succeeded(Baked(loaves=3))
    assert await handle.cancel() == Succeeded(Baked(loaves=3))
