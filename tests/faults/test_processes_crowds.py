"""Jobs that fork hundreds of processes: none outlives its job, and the coordinator pays nothing for it."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from heavyjobs import Client
from heavyjobs.model import Cancelled
from tests.faults.work import WORK, Brood
from tests.lifecycle.asking import said, until
from tests.lifecycle.hosts import WORK as ORDINARY
from tests.lifecycle.hosts import coordinating, left_of_jobs
from tests.lifecycle.work import Square

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.mark.fault("process: a job forks 500 children and is cancelled")
async def test_five_hundred_children_are_gone_when_a_cancel_is_done_and_no_descriptor_is_lost(client: Client, url: str) -> None:
    async with coordinating(url, modules=(ORDINARY, WORK)):
        small, brood = [await client.submit(Brood(children=count, leaves=False)) for count in (1, 500)]
        for each in (small, brood):
            await said(each, "hatched")
        before = psutil.Process().num_fds()  # with both workers at work: one that is still being started opens more

        async with asyncio.timeout(60):
            assert [await each.cancel() for each in (small, brood)] == [Cancelled(), Cancelled()]

        assert not left_of_jobs()
        # Other workers take the places of those that were killed.
        assert await (await client.submit(Square(number=3))).result(timeout=20) == 9
        await until(lambda: psutil.Process().num_fds() <= before)


@pytest.mark.fault("process: a job returns and leaves 500 children")
async def test_five_hundred_children_that_were_left_are_gone_when_the_job_is_done(client: Client, url: str) -> None:
    async with coordinating(url, modules=(ORDINARY, WORK)):
        brood = await client.submit(Brood(children=500, leaves=True))

        assert await brood.result(timeout=60) == "left"

        assert any("ended what the job left running" in line.text for line in [line async for line in brood.logs()])
