"""Nothing stays `running` with a session that does not know of it: answers are lost, come late, or in the middle of a drain."""

from __future__ import annotations

import time

import psycopg
import pytest

from heavyjobs import Client
from heavyjobs.model import Ending, JobState
from tests.lifecycle.asking import AnyHandle, endings, ticked, until
from tests.lifecycle.hosts import HASTY, coordinating
from tests.lifecycle.stores import Counting, LateClaim, SlowAnswer, loses_a_claim
from tests.lifecycle.work import Square


async def test_a_claim_whose_answer_was_lost_is_run_all_the_same(client: Client, url: str) -> None:
    async with coordinating(url, reached_by=loses_a_claim):
        handle = await client.submit(Square(number=3))

        assert await handle.result(timeout=20) == 9

    assert await endings(client, handle) == [Ending.SUCCEEDED]
    assert (await handle.job()).claim == 1


async def test_a_claim_that_commits_long_after_its_answer_was_given_up_is_run_all_the_same(client: Client, url: str) -> None:
    late = LateClaim()
    async with coordinating(url, reached_by=late):
        late.begin.set()
        handle = await client.submit(Square(number=3))

        assert await handle.result(timeout=20) == 9

    assert await endings(client, handle) == [Ending.SUCCEEDED]
    assert (await handle.job()).claim == 1


async def test_a_claim_on_its_way_when_a_drain_begins_is_waited_for_and_run(client: Client, url: str) -> None:
    slow = SlowAnswer()
    async with coordinating(url, reached_by=slow, drain="30s") as coordinator:
        handle = await client.submit(Square(number=3))
        await slow.committed.wait()
        coordinator.stop()
        await ticked(client)
        slow.let_through.set()

        assert await handle.result(timeout=20) == 9

    assert await client.coordinators() == []


async def test_a_claim_on_its_way_when_a_hasty_drain_begins_is_handed_back_or_done(client: Client, url: str) -> None:
    slow = SlowAnswer()
    async with coordinating(url, reached_by=slow) as coordinator:
        handle = await client.submit(Square(number=3))
        await slow.committed.wait()
        coordinator.stop()
        coordinator.stop()
        await ticked(client)
        slow.let_through.set()

    assert (await handle.job()).state in {JobState.READY, JobState.SUCCEEDED}
    assert await client.coordinators() == []


async def test_a_claim_whose_answer_was_lost_just_before_a_drain_is_handed_back_or_done(client: Client, url: str) -> None:
    async with coordinating(url, reached_by=loses_a_claim) as coordinator:
        handle = await client.submit(Square(number=3))
        await until(lambda: has_left(handle, JobState.READY))
        coordinator.stop()

    assert (await handle.job()).state in {JobState.READY, JobState.SUCCEEDED}
    assert await client.coordinators() == []


async def test_a_claim_that_commits_behind_the_back_of_a_drain_is_taken_back_by_another(client: Client, url: str) -> None:
    late = LateClaim()
    async with coordinating(url, reached_by=late) as coordinator:
        late.begin.set()
        handle = await client.submit(Square(number=3))
        await late.begun.wait()
        coordinator.stop()

    async with coordinating(url, **HASTY):
        assert await handle.result(timeout=20) == 9
    assert await client.coordinators() == []


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_a_due_job_that_somebody_has_locked_is_not_asked_for_again_and_again(client: Client, url: str) -> None:
    promotes = Counting("promote")
    async with coordinating(url, reached_by=promotes), await psycopg.AsyncConnection.connect(url) as other:
        handle = await client.submit(Square(number=3), delay="300ms")
        await other.execute("SELECT FROM heavyjobs.jobs WHERE id = %s FOR UPDATE", [handle.id])
        await ticked(client, times=4)
        promotes.calls.clear()
        began = time.monotonic()

        await ticked(client, times=5)

        assert promotes.calls["promote"] < 5 + 20 * (time.monotonic() - began), "it rests in between"
        await other.rollback()
        assert await handle.result(timeout=20) == 9


async def has_left(handle: AnyHandle, state: JobState) -> bool:
    return (await handle.job()).state is not state
