"""Processes of jobs that stand still: a timeout notices, and what is stopped is ended like everything else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from heavyjobs import Client, JobDead
from heavyjobs.model import Cancelled, Ending, JobState
from heavyjobs.slots import pool
from tests.faults.work import WORK, Halted, HaltedForLong, HaltedLane, Thread
from tests.lifecycle.asking import endings, said, ticked, until
from tests.lifecycle.hosts import WORK as ORDINARY
from tests.lifecycle.hosts import coordinating, left_of_jobs
from tests.lifecycle.work import AsyncNap, Square

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
MODULES = (ORDINARY, WORK)


@pytest.mark.parametrize(
    "child",
    [
        pytest.param(False, marks=pytest.mark.fault("process: a worker is stopped for ever")),
        pytest.param(True, marks=pytest.mark.fault("process: a child program is stopped for ever")),
    ],
)
async def test_what_is_stopped_for_ever_is_ended_by_its_timeout(client: Client, url: str, child: bool) -> None:
    async with coordinating(url, modules=MODULES):
        halted = await client.submit(Halted(child=child))

        with pytest.raises(JobDead, match="ran longer than its timeout of 300 ms"):
            await halted.result(timeout=30)

        assert await endings(client, halted) == [Ending.TIMED_OUT]
        await until(lambda: not left_of_jobs())


@pytest.mark.fault("process: a worker without a timeout is stopped for ever, and cancelled")
async def test_without_a_timeout_nobody_notices_a_stopped_worker_and_a_cancel_ends_it(client: Client, url: str) -> None:
    async with coordinating(url, modules=MODULES):
        halted = await client.submit(HaltedForLong())
        await said(halted, "halting")

        assert await (await client.submit(Square(number=3))).result(timeout=20) == 9, "others go on beside it"
        await ticked(client, times=5)
        assert (await halted.job()).state is JobState.RUNNING

        assert await halted.cancel() == Cancelled()


@pytest.mark.fault("process: the lane's worker is stopped for ever")
async def test_a_lane_that_is_stopped_is_ended_and_its_other_jobs_go_on(
    client: Client, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PING_SECONDS", 0.1)
    monkeypatch.setattr(pool, "BLOCKED_AFTER_SECONDS", 2.0)
    monkeypatch.setattr(pool, "BLOCKED_GRACE_SECONDS", 0.5)
    async with coordinating(url, modules=MODULES):
        naps = await client.submit_many([AsyncNap(until=tmp_path / "enough") for _ in range(3)])
        await asyncio.gather(*(said(nap, "napping") for nap in naps))

        halted = await client.submit(HaltedLane())

        assert await halted.result(timeout=30) == "went on"
        assert await endings(client, halted) == [Ending.CRASHED, Ending.SUCCEEDED]
        (tmp_path / "enough").touch()
        assert await asyncio.gather(*(nap.result(timeout=20) for nap in naps)) == ["rested"] * 3


@pytest.mark.fault("process: a thread that will never end is left behind")
async def test_a_deadlocked_thread_keeps_neither_its_job_nor_the_next_one(client: Client, url: str) -> None:
    async with coordinating(url, modules=MODULES, slots=1):
        first, second = await client.submit_many([Thread(), Thread()])

        assert [await job.result(timeout=20) for job in (first, second)] == ["returned"] * 2
        slots = {(await client.invocations(job.id))[0].slot for job in (first, second)}
        assert len(slots) == 2, "the worker was not used again"
