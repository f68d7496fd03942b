"""The async lane: many jobs that wait share one process, and one that misbehaves is told from the others."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from heavyjobs import Client, JobDead
from heavyjobs.coordinator.dispatch import LANE_DEATHS_FORGIVEN
from heavyjobs.model import Cancelled, Ending
from heavyjobs.slots import pool
from tests.lifecycle.asking import endings, said, ticked, until
from tests.lifecycle.hosts import Daemon, coordinating
from tests.lifecycle.work import (
    AsyncCrash,
    AsyncNap,
    Block,
    CancelsItself,
    Count,
    Counting,
    LetsACancelOut,
    ParentOfCrash,
    StopsTheLoop,
    Yes,
)


@pytest.mark.usefixtures("coordinator")
async def test_many_jobs_wait_at_once_on_one_lane_and_hold_up_no_slot(client: Client, tmp_path: Path) -> None:
    naps = await client.submit_many([AsyncNap(until=tmp_path / "enough") for _ in range(50)])
    await asyncio.gather(*(said(nap, "napping") for nap in naps))
    assert await naps[0].status() == Counting(done=1)

    await (await client.submit(Count())).result(timeout=20)
    (tmp_path / "enough").touch()

    assert await asyncio.gather(*(nap.result(timeout=20) for nap in naps)) == ["rested"] * 50
    assert {one.slot for nap in naps for one in await client.invocations(nap.id)} == {"lane"}


@pytest.mark.usefixtures("coordinator")
async def test_one_of_many_is_cancelled_alone(client: Client, tmp_path: Path) -> None:
    naps = await client.submit_many([AsyncNap(until=tmp_path / "enough") for _ in range(10)])
    await asyncio.gather(*(said(nap, "napping") for nap in naps))

    assert await naps[3].cancel() == Cancelled()
    (tmp_path / "enough").touch()

    others = [nap for nap in naps if nap is not naps[3]]
    assert await asyncio.gather(*(nap.result(timeout=20) for nap in others)) == ["rested"] * 9
    assert {(await nap.job()).claim for nap in others} == {1}


async def test_a_program_that_writes_for_ever_holds_up_neither_its_neighbours_nor_the_ticks(client: Client, url: str) -> None:
    async with coordinating(url, log_bytes=20_000):
        yes = await client.submit(Yes())
        await said(yes, "yes")

        assert await (await client.submit(AsyncNap(seconds=0.1))).result(timeout=20) == "rested"
        await ticked(client, times=3)

        assert await yes.cancel() == Cancelled()


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("spin", marks=pytest.mark.fault("process: a job blocks the loop of the lane")),
        pytest.param("lock", marks=pytest.mark.fault("process: C code holds the GIL of the lane")),
    ],
)
async def test_a_job_that_blocks_the_lane_is_ended_and_the_others_go_on(
    client: Client, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(pool, "PING_SECONDS", 0.1)
    monkeypatch.setattr(pool, "BLOCKED_AFTER_SECONDS", 2.0)
    monkeypatch.setattr(pool, "BLOCKED_GRACE_SECONDS", 2.0)
    async with coordinating(url):
        naps = await client.submit_many([AsyncNap(until=tmp_path / "go") for _ in range(3)])
        await asyncio.gather(*(said(nap, "napping") for nap in naps))
        block = await client.submit(Block(how=how))

        assert await block.result(timeout=30) == "let go"
        first, _ = await client.invocations(block.id)
        assert first.ending is Ending.CRASHED
        assert any("nap_by" in line.text for line in [line async for line in block.logs(claim=1)]), "its stacks are in its log"
        (tmp_path / "go").touch()
        assert await asyncio.gather(*(nap.result(timeout=20) for nap in naps)) == ["rested"] * 3
        assert {(await nap.job()).attempt for nap in naps} == {1}, "others are handed back without charge"


@pytest.mark.fault("process: the lane's worker is killed")
async def test_a_lane_that_was_killed_is_started_again_and_all_its_jobs_finish(
    client: Client, url: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "host", url):
        naps = await client.submit_many([AsyncNap(until=tmp_path / "enough") for _ in range(5)])
        await asyncio.gather(*(said(nap, "napping") for nap in naps))
        pid = int([line.text async for line in naps[0].logs()][1])

        os.kill(pid, signal.SIGKILL)
        await until(lambda: not alive_pid(pid))
        (tmp_path / "enough").touch()

        assert await asyncio.gather(*(nap.result(timeout=20) for nap in naps)) == ["rested"] * 5
        attempts = sorted([(await nap.job()).attempt for nap in naps])
        assert attempts[:4] == [1] * 4, "only the one whose step ran at that moment, if any, may be charged"


@pytest.mark.fault("process: a poison job takes the lane down at every attempt")
async def test_a_job_that_takes_the_lane_down_each_time_runs_out_of_attempts(client: Client, url: str, tmp_path: Path) -> None:
    async with coordinating(url):
        naps = await client.submit_many([AsyncNap(until=tmp_path / "enough") for _ in range(3)])
        await asyncio.gather(*(said(nap, "napping") for nap in naps))
        poison = await client.submit(AsyncCrash())

        with pytest.raises(JobDead, match="ended by itself with exit code 7"):
            await poison.result(timeout=40)
        (tmp_path / "enough").touch()

        assert await asyncio.gather(*(nap.result(timeout=20) for nap in naps)) == ["rested"] * 3


@pytest.mark.usefixtures("coordinator")
async def test_a_job_that_lets_its_own_cancel_out_is_charged_each_time_and_no_neighbour_is_to_blame(client: Client) -> None:
    job = await client.submit(LetsACancelOut())

    with pytest.raises(JobDead, match="CancelledError"):
        await job.result(timeout=30)

    assert await endings(client, job) == [Ending.RAISED] * 2


@pytest.mark.usefixtures("coordinator")
async def test_a_job_is_forgiven_only_so_often_whatever_it_is_charged_for_between(client: Client) -> None:
    job = await client.submit(CancelsItself())

    with pytest.raises(JobDead, match="CancelRequested"):
        await job.result(timeout=30)

    assert await endings(client, job) == [Ending.HANDED_BACK] * LANE_DEATHS_FORGIVEN + [Ending.RAISED] * 2


@pytest.mark.usefixtures("coordinator")
async def test_a_parent_whose_child_crashed_their_lane_reads_that_and_not_that_its_coordinator_gave_it_up(
    client: Client,
) -> None:
    parent = await client.submit(ParentOfCrash())

    with pytest.raises(JobDead):
        await parent.result(timeout=30)

    (invocation,) = await client.invocations(parent.id)
    assert invocation.cause is not None
    assert invocation.cause.message.startswith("a job that it spawned brought down the lane they both ran on, after")
    assert invocation.cause.exit_code == 7


def alive_pid(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.fault("process: a job stops the loop of the lane")
async def test_a_job_that_stops_the_loop_of_the_lane_charges_its_neighbours_nothing(
    client: Client, url: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "host", url):
        naps = await client.submit_many([AsyncNap(until=tmp_path / "enough") for _ in range(3)])
        await asyncio.gather(*(said(nap, "napping") for nap in naps))

        await (await client.submit(StopsTheLoop())).result(timeout=30)

        (tmp_path / "enough").touch()
        assert await asyncio.gather(*(nap.result(timeout=20) for nap in naps)) == ["rested"] * 3
        assert {(await nap.job()).attempt for nap in naps} == {1}
