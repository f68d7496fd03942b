"""Jobs that were stored by another release: with other fields, another version, or of a kind that is not known here."""

from __future__ import annotations

import pytest

from heavyjobs import Client, JobDead
from heavyjobs.model import JobState, Policy, new_id
from heavyjobs.store.records import NewJob
from heavyjobs.values import JsonText
from tests.lifecycle.asking import AnyHandle, endings
from tests.lifecycle.hosts import coordinating
from tests.lifecycle.work import Area, Square

EAGER = Policy(backoff_seconds=0.02)

pytestmark = pytest.mark.usefixtures("coordinator")


@pytest.mark.fault("people: stored parameters no longer fit their job type")
async def test_parameters_that_no_longer_fit_end_that_job_alone_with_a_clear_cause(client: Client) -> None:
    old = await stored(client, "tests.square", '{"number":3,"colour":"red"}')
    fits = await client.submit(Square(number=3))

    with pytest.raises(JobDead, match=r"InvalidParameters: tests.square: colour: no such field"):
        await old.result(timeout=20)

    assert await fits.result(timeout=20) == 9
    assert len(await endings(client, old)) == 1, "trying again is useless"


async def test_older_parameters_pass_upgrade(client: Client) -> None:
    old = await stored(client, "tests.area", '{"side":3}', version=1)
    new = await client.submit(Area(width=2, height=5))

    assert [await old.result(timeout=20), await new.result(timeout=20)] == [9, 10]


@pytest.mark.fault("people: a kind or version that a coordinator does not know")
async def test_kinds_and_versions_that_are_not_known_here_are_left_for_others(client: Client) -> None:
    unknown = await stored(client, "tests.of_another_service", "{}")
    newer = await stored(client, "tests.area", '{"depth":1}', version=3)

    await (await client.submit(Square(number=1))).result(timeout=20)

    assert {(await one.job()).state for one in (unknown, newer)} == {JobState.READY}
    assert {(await one.job()).claim for one in (unknown, newer)} == {0}


async def test_queues_that_are_not_served_here_are_left_for_others(client: Client) -> None:
    elsewhere = await stored(client, "tests.square", '{"number":1}', Policy(queue="elsewhere"))

    await (await client.submit(Square(number=1))).result(timeout=20)

    assert (await elsewhere.job()).claim == 0


@pytest.mark.fault("people: a job asks for more than the host has")
async def test_a_job_that_asks_for_more_than_the_host_has_waits_and_holds_up_nobody(client: Client, url: str) -> None:
    greedy = await stored(client, "tests.square", '{"number":1}', Policy(queue="small", memory_bytes=2 << 30))
    modest = await stored(client, "tests.square", '{"number":2}', Policy(queue="small", memory_bytes=200 << 20))

    async with coordinating(url, queue="small", memory="1GiB"):
        assert await modest.result(timeout=20) == 4

        assert (await greedy.job()).state is JobState.READY


async def stored(client: Client, kind: str, parameters: str, policy: Policy = EAGER, *, version: int = 1) -> AnyHandle:
    """A job that a client of another release has stored."""
    new = NewJob(id=new_id(), kind=kind, version=version, parameters=JsonText(parameters), policy=policy)
    await client.store.submit([new])
    return client.handle(new.id)
