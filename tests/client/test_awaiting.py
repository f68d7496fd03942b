"""Results, errors and statuses come back as the types of the job's class, and waiting changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from heavyjobs import (
    Cancelled,
    Client,
    Dead,
    Ending,
    HeavyjobsError,
    JobCancelled,
    JobDead,
    JobMismatch,
    JobNotFound,
    JobState,
    StoreOptions,
    Succeeded,
    Update,
)
from heavyjobs.model import new_id
from heavyjobs.store import Store
from heavyjobs.store.watching import Watcher
from tests.client.player import Bake, Baked, Baking, Burnt, Player, Toast


async def test_a_result_comes_back_as_its_class(client: Client, player: Player) -> None:
    handle = await client.submit(Bake(flour=2))
    await player.succeed(await player.claim())

    result = await handle.result(timeout=10)

    assert result == Baked(loaves=3)
    assert await handle.wait(timeout=10) == Succeeded(Baked(loaves=3))
    assert await handle.outcome() == Succeeded(Baked(loaves=3))


async def test_a_waiter_is_told_as_soon_as_the_job_ends(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    waiting = asyncio.create_task(handle.result(timeout=10))

    await player.succeed(await player.claim())

    assert await waiting == Baked(loaves=3)


async def test_a_dead_job_raises_its_typed_error_with_the_end_of_its_log(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    await player.fail(await player.claim(), says=[f"line {n}" for n in range(50)])

    with pytest.raises(JobDead, match=r"tests\.bake\) is dead after attempt 1 of 2: it burnt") as raised:
        await handle.result(timeout=10)

    assert raised.value.error == Burnt(smoke="black")
    assert raised.value.job_id == handle.id
    assert raised.value.log_tail == tuple(f"line {n}" for n in range(30, 50))
    match await handle.wait():
        case Dead(error, cause):
            assert error == Burnt(smoke="black")
            assert cause is not None
            assert cause.ending is Ending.FAILED
        case other:
            pytest.fail(f"{other} is not dead")


async def test_a_crashed_job_is_dead_without_an_error_but_with_its_traceback(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    await player.crash(await player.claim(), again=False)

    with pytest.raises(JobDead) as raised:
        await handle.result(timeout=10)

    assert raised.value.error is None
    assert raised.value.traceback == "Fatal Python error"
    assert raised.value.log_tail == ()


async def test_waiting_goes_on_through_retries(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    waiting = asyncio.create_task(handle.result(timeout=10))
    await player.crash(await player.claim(), again=True)

    await player.succeed(await player.claim())

    assert await waiting == Baked(loaves=3)


async def test_a_cancelled_job_has_no_result(client: Client) -> None:
    handle = await client.submit(Bake())
    await client.cancel(handle.id)

    with pytest.raises(JobCancelled, match="was cancelled"):
        await handle.result(timeout=10)

    assert await handle.wait() == Cancelled()


async def test_the_latest_status_comes_back_as_its_class(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    claim = await player.claim()
    assert await handle.status() is None

    await player.say(claim, status='{"degrees":180}')
    await player.say(claim, status='{"degrees":220}')

    assert await handle.status() == Baking(degrees=220)


async def test_a_timeout_says_that_the_job_goes_on_and_leaves_it_untouched(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    claim = await player.claim()
    before = await handle.job()

    with pytest.raises(TimeoutError, match=r"tests\.bake\) had not ended after 50 ms; it goes on"):
        await handle.result(timeout="50ms")

    assert await handle.wait(timeout=0.05) is None
    assert await handle.wait(timeout=0) is None
    assert await handle.outcome() is None
    assert await handle.job() == before
    await player.succeed(claim)
    assert await handle.wait(timeout=0) == Succeeded(Baked(loaves=3))


async def test_an_id_that_was_never_submitted_is_said_to_be_missing(client: Client) -> None:
    handle = client.handle(new_id(), Bake)

    for verb in (handle.result, handle.wait, handle.outcome, handle.status, handle.job, handle.cancel, handle.retry):
        with pytest.raises(JobNotFound, match="never submitted"):
            await verb()
    with pytest.raises(JobNotFound):
        await anext(handle.watch())
    with pytest.raises(JobNotFound):
        await anext(handle.logs())
    with pytest.raises(JobNotFound, match="for the end of one, use find"):
        client.handle("7f3a")


async def test_a_handle_made_from_an_id_is_typed_again(client: Client, player: Player) -> None:
    submitted = await client.submit(Bake())
    await player.succeed(await player.claim())

    assert await client.handle(str(submitted.id), Bake).result(timeout=10) == Baked(loaves=3)
    assert await client.handle(submitted.id).result(timeout=10) == {"loaves": 3}


async def test_a_handle_of_another_kind_is_refused(client: Client, player: Player) -> None:
    submitted = await client.submit(Bake())
    await player.succeed(await player.claim())

    with pytest.raises(JobMismatch, match=r"is a tests\.bake, not a tests\.toast"):
        await client.handle(submitted.id, Toast).result(timeout=10)


async def test_a_stored_value_that_no_longer_fits_its_class_is_one_clear_error(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    claim = await player.claim()
    await player.say(claim, status='{"fahrenheit":400}')

    with pytest.raises(JobMismatch, match=r"status of a tests\.bake does not fit its class any more: degrees: Field required"):
        await handle.status()
    await player.succeed(claim, result='{"loaves":"many"}')
    with pytest.raises(JobMismatch, match=r"result of job .* \(tests\.bake\) does not fit its class any more: loaves: "):
        await handle.result(timeout=10)


async def test_leaving_the_client_ends_every_wait_with_an_error(url: str) -> None:
    async with Client.open(url) as client:
        handle = await client.submit(Bake())
        waiting = asyncio.create_task(handle.result())
        watching = asyncio.create_task(_last_of(handle.watch()))
        await anext(handle.watch())

    with pytest.raises(HeavyjobsError, match="the client was closed"):
        await waiting
    with pytest.raises(HeavyjobsError, match="the client was closed"):
        await watching
    with pytest.raises(HeavyjobsError, match="only while the client is open"):
        await handle.result()


async def test_waiting_for_a_family_stops_at_the_first_death_when_asked_to(
    client: Client, store: Store, player: Player
) -> None:
    handles = await client.submit_many([Bake(flour=n) for n in range(3)])
    jobs = [handle.id for handle in handles]
    claims = {claimed.claim.job: claimed.claim for claimed in await player.claims()}
    async with Watcher(store) as watcher:
        first_death = asyncio.create_task(watcher.ended(jobs, first_death=True))
        everyone = asyncio.create_task(watcher.ended(jobs))

        await player.succeed(claims[jobs[0]])
        await player.fail(claims[jobs[1]])

        ended = await first_death
        assert ended[jobs[1]].state is JobState.DEAD
        assert jobs[2] not in ended
        assert not everyone.done()
        await player.succeed(claims[jobs[2]])
        assert (await everyone).keys() == set(jobs)
        assert await watcher.ended([]) == {}


@pytest.mark.parametrize("options", [StoreOptions(notify=False)], ids=["without wake-ups"])
async def test_without_wakeups_polling_is_enough(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    waiting = asyncio.create_task(handle.result(timeout=10))
    watching = asyncio.create_task(_last_of(handle.watch()))

    await player.succeed(await player.claim(), says=["done"])

    assert await waiting == Baked(loaves=3)
    assert "succeeded" in await watching


async def _last_of(updates: AsyncIterator[Update[Baking]]) -> str:
    return str([update async for update in updates][-1])
