"""Families of any size, and children of any name that can be kept."""

from __future__ import annotations

import pytest

from heavyjobs import Client, JobDead
from tests.lifecycle.hosts import coordinating
from tests.lifecycle.work import Crowd, OddKey, Square


async def test_more_children_than_one_request_holds_are_spawned_and_gathered(client: Client, url: str) -> None:
    async with coordinating(url, slots=4):
        handle = await client.submit(Crowd(children=600, text="abc"))

        assert await handle.result(timeout=60) == 1800


async def test_more_than_a_frame_may_hold_is_spawned_and_gathered(client: Client, url: str) -> None:
    async with coordinating(url, slots=4):
        parameters = await client.submit(Crowd(children=10, text="x" * 900_000))
        results = await client.submit(Crowd(children=10, text="x", times=900_000))

        assert await results.result(timeout=60) == 9_000_000
        assert await parameters.result(timeout=60) == 9_000_000


@pytest.mark.usefixtures("coordinator")
@pytest.mark.parametrize(
    ("how", "reason"), [("nul", "text with a NUL character cannot be stored"), ("long", "takes 8.8 KiB, more than 500 B")]
)
async def test_a_childs_name_that_cannot_be_kept_is_refused_in_its_job_and_harms_nobody(
    client: Client, how: str, reason: str
) -> None:
    handle = await client.submit(OddKey(how=how))

    with pytest.raises(JobDead, match=f"Unstorable: the key of a spawned job:? {reason}"):
        await handle.result(timeout=20)

    assert await (await client.submit(Square(number=3))).result(timeout=20) == 9
