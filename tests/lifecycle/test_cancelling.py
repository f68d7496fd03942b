"""Cancel ends queued and running jobs, from wherever it is asked, and what they have started."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.coordinator import invocation
from heavyjobs.model import Cancelled, Ending, JobState
from tests.lifecycle.asking import said, until
from tests.lifecycle.hosts import ROOT, coordinating, left_of_jobs
from tests.lifecycle.work import AsyncNap, Film, LongNap, Nap


async def test_a_queued_job_is_cancelled_before_it_ever_runs(client: Client) -> None:
    handle = await client.submit(Nap())

    assert await handle.cancel() == Cancelled()
    assert (await handle.job()).claim == 0


@pytest.mark.fault("process: a job to be cancelled spins, holds a lock or ignores it")
@pytest.mark.usefixtures("coordinator")
@pytest.mark.parametrize(
    "how",
    [
        "sleep",
        "spin",
        "stubborn",
        pytest.param("lock", marks=pytest.mark.fault("process: C code holds the GIL of a job that is cancelled")),
    ],
)
async def test_a_running_job_is_cancelled_whatever_it_does(client: Client, how: str) -> None:
    handle = await client.submit(Nap(how=how))
    await said(handle, "napping")

    async with asyncio.timeout(10):
        assert await handle.cancel() == Cancelled()

    (ended,) = await client.invocations(handle.id)
    assert ended.ending is Ending.CANCELLED


@pytest.mark.usefixtures("coordinator")
async def test_what_is_ended_by_force_leaves_its_stacks_in_the_log(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocation, "LAST_WORDS_SECONDS", 3.0)  # on a busy machine its process may not run for a while
    handle = await client.submit(Nap(how="lock"))
    await said(handle, "napping")
    await handle.cancel()

    lines = [line.text async for line in handle.logs()]

    forced = lines.index("it has not stopped: its stacks, before it is ended by force")
    assert any("nap_by" in line for line in lines[forced:])


@pytest.mark.usefixtures("coordinator")
async def test_another_process_cancels_a_job_with_its_child_programs(client: Client, url: str, tmp_path: Path) -> None:
    handle = await client.submit(Film(path=tmp_path / "films", number=1, until=tmp_path / "never"))
    await said(handle, "filming")

    await asyncio.to_thread(cancel_from_another_process, url, str(handle.id))

    assert await handle.wait(timeout=10) == Cancelled()
    await until(lambda: not left_of_jobs(), within=20)


@pytest.mark.usefixtures("coordinator")
async def test_a_grace_given_with_the_cancel_goes_before_the_jobs_own(client: Client) -> None:
    handle = await client.submit(LongNap())
    await said(handle, "napping")

    async with asyncio.timeout(15):
        assert await handle.cancel(grace="3s") == Cancelled()

    assert "cleaning up" in [line.text async for line in handle.logs()]


@pytest.mark.usefixtures("coordinator")
async def test_a_second_cancel_without_grace_hurries_the_first(client: Client) -> None:
    handle = await client.submit(LongNap())
    await said(handle, "napping")
    await handle.cancel(wait=False)
    await said(handle, "cleaning up")

    async with asyncio.timeout(10):
        assert await handle.cancel(grace=0) == Cancelled()


@pytest.mark.usefixtures("coordinator")
async def test_a_cancelled_job_can_be_sent_again(client: Client, tmp_path: Path) -> None:
    handle = await client.submit(Nap(until=tmp_path / "enough"))
    await said(handle, "napping")
    await handle.cancel()

    (tmp_path / "enough").touch()
    record = await handle.retry()

    assert (record.state, record.epoch) == (JobState.READY, 2)
    assert await handle.result(timeout=20) == "rested"


@pytest.mark.fault("people: two hundred cancels, one crowd after the other")
async def test_two_hundred_cancels_leave_no_process_behind(client: Client, url: str, tmp_path: Path) -> None:
    async with coordinating(url, slots=4):
        for _ in range(10):
            films = await client.submit_many(
                [Film(path=tmp_path / "films", number=1, until=tmp_path / "never") for _ in range(4)]
                + [AsyncNap() for _ in range(16)]
            )
            await asyncio.gather(*(said(film, "filming") for film in films[:4]))
            outcomes = await asyncio.gather(*(film.cancel() for film in films))
            assert outcomes == [Cancelled()] * 20

    await until(lambda: not left_of_jobs(), within=20)


def cancel_from_another_process(url: str, job: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "heavyjobs.cli", "cancel", job],
        env={"HEAVYJOBS_DATABASE__URL": url, "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
