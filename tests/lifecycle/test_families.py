"""Jobs that spawn jobs and wait for them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from heavyjobs import Client, JobDead
from heavyjobs.model import Cancelled, Ending, JobState
from tests.lifecycle.asking import AnyHandle, said, texts, until
from tests.lifecycle.hosts import coordinating
from tests.lifecycle.work import (
    AsyncFamily,
    Family,
    MixedFamily,
    Nap,
    Nest,
    Patient,
    Square,
    TwoKeys,
    Waits,
)


@pytest.mark.usefixtures("coordinator")
@pytest.mark.parametrize("family", [Family, AsyncFamily])
async def test_a_parent_gets_the_typed_results_of_its_children(client: Client, family: type[Family | AsyncFamily]) -> None:
    handle = await client.submit(family(numbers=[1, 2, 3]))

    assert await handle.result(timeout=20) == 14
    children = await client.list(parent=handle.id)
    assert {(child.kind, child.depth, child.state) for child in children} == {("tests.square", 1, JobState.SUCCEEDED)}


async def test_families_three_deep_end_on_one_slot(client: Client, url: str) -> None:
    async with coordinating(url, slots=1, cpus=1):
        handles = await client.submit_many([Nest(levels=3), Nest(levels=3), Nest(levels=3)])

        assert await asyncio.gather(*(handle.result(timeout=30) for handle in handles)) == [3, 3, 3]


@pytest.mark.fault("process: a parent dies after it has spawned")
@pytest.mark.usefixtures("coordinator")
async def test_a_parent_that_died_after_it_spawned_finds_the_same_children(client: Client) -> None:
    handle = await client.submit(Family(numbers=[4, 5], dies=True))

    assert await handle.result(timeout=20) == 41
    assert len(await client.list(parent=handle.id)) == 2
    assert [one.ending for one in await client.invocations(handle.id)] == [Ending.CRASHED, Ending.SUCCEEDED]


@pytest.mark.fault("people: one key for two different children")
@pytest.mark.usefixtures("coordinator")
async def test_a_key_for_two_different_children_is_refused_with_the_difference(client: Client) -> None:
    handle = await client.submit(TwoKeys())

    with pytest.raises(
        JobDead, match=r"KeyReused: the key 'same' already names child .*\"number\":1.* not .*\"number\":2"
    ) as raised:
        await handle.result(timeout=20)

    assert raised.value.cause is not None
    assert raised.value.cause.type == "heavyjobs.errors.KeyReused"


@pytest.mark.usefixtures("coordinator")
async def test_the_first_death_ends_a_gather_and_cancels_the_other_children(client: Client) -> None:
    handle = await client.submit(MixedFamily(gather=True))

    with pytest.raises(JobDead, match=r"JobDead: child .*attempt 1"):
        await handle.result(timeout=20)

    async def children_ended() -> bool:
        states = {child.kind: child.state for child in await client.list(parent=handle.id)}
        return states == {"tests.refuse": JobState.DEAD, "tests.nap": JobState.CANCELLED}

    await until(children_ended)


@pytest.mark.usefixtures("coordinator")
async def test_outcomes_tell_how_each_child_ended_and_never_raise(client: Client) -> None:
    handle = await client.submit(MixedFamily(gather=False))

    assert await handle.result(timeout=20) == ["dead: reason='attempt 1'", "succeeded: rested"]


@pytest.mark.usefixtures("coordinator")
async def test_a_cancel_of_the_parent_ends_its_children(client: Client) -> None:
    handle = await client.submit(Waits())
    (child,) = await children(client, handle.id.hex)
    await said(client.handle(child, Nap), "napping")

    async with asyncio.timeout(10):
        assert await handle.cancel() == Cancelled()
        assert await client.handle(child, Nap).wait() == Cancelled()


@pytest.mark.fault("people: a cancelled family is sent again")
@pytest.mark.usefixtures("coordinator")
async def test_the_children_of_a_cancelled_family_that_is_retried_run_again(client: Client, tmp_path: Path) -> None:
    handle = await client.submit(Patient(until=tmp_path / "enough"))
    (child,) = await children(client, handle.id.hex)
    await said(client.handle(child, Nap), "napping")
    async with asyncio.timeout(10):
        assert await handle.cancel() == Cancelled()
        assert await client.handle(child, Nap).wait() == Cancelled()
    (tmp_path / "enough").touch()

    await handle.retry(fresh=True)

    assert await handle.result(timeout=20) == "rested"
    assert await children(client, handle.id.hex) == [child]


@pytest.mark.usefixtures("coordinator")
async def test_the_timeout_of_a_parent_stands_still_while_it_waits(client: Client, tmp_path: Path) -> None:
    handle = await client.submit(Patient(until=tmp_path / "enough"))
    (child,) = await children(client, handle.id.hex)
    await until(lambda: has_said(client.handle(child, Nap), "still napping", times=3))

    (tmp_path / "enough").touch()

    assert await handle.result(timeout=20) == "rested"


async def test_children_of_one_parent_share_no_keys_with_those_of_another(client: Client, url: str) -> None:
    async with coordinating(url):
        first, second = await client.submit_many([Family(numbers=[1]), Family(numbers=[2])])

        assert [await first.result(timeout=20), await second.result(timeout=20)] == [1, 4]
        assert {child.kind for child in await client.list(parent=first.id)} == {Square.kind}


async def has_said(handle: AnyHandle, text: str, *, times: int) -> bool:
    return (await texts(handle)).count(text) >= times


async def children(client: Client, parent: str) -> list[str]:
    """The ids of a job's children, once there are some."""
    found: list[str] = []

    async def some() -> bool:
        found[:] = [child.id.hex for child in await client.list(parent=client.handle(parent).id)]
        return bool(found)

    await until(some)
    return found
