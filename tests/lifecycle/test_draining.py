"""Draining: let work end, hand back what does not in time, leave nothing behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.model import Ending, JobState
from tests.lifecycle.asking import said, until
from tests.lifecycle.hosts import Daemon, coordinating, gone
from tests.lifecycle.work import Film, LongNap, Nap


async def test_sigterm_lets_running_work_end_and_then_ends_with_code_0(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "host", url, drain="30s") as daemon:
        handle = await client.submit(Nap(until=tmp_path / "enough"))
        await said(handle, "napping")

        daemon.signal(signal.SIGTERM)
        await daemon.says("draining")
        queued = await client.submit(Nap())
        (tmp_path / "enough").touch()

        assert await daemon.ended() == 0
        assert await handle.result(timeout=0) == "rested"
        assert (await queued.job()).state is JobState.READY, "a coordinator that drains claims nothing more"
        assert await client.coordinators() == []


@pytest.mark.fault("people: work outlasts the drain")
async def test_work_longer_than_the_drain_is_handed_back_without_charge_and_ends_elsewhere(
    client: Client, url: str, tmp_path: Path
) -> None:
    handle = await client.submit(Nap(until=tmp_path / "enough"))
    with Daemon(tmp_path / "host", url, drain="200ms") as daemon:
        await said(handle, "napping")
        family = daemon.family()
        daemon.signal(signal.SIGTERM)
        assert await daemon.ended() == 0

    assert (await handle.job()).state is JobState.READY
    (tmp_path / "enough").touch()
    async with coordinating(url):
        assert await handle.result(timeout=20) == "rested"
    first, second = await client.invocations(handle.id)
    assert (first.ending, first.attempt) == (Ending.HANDED_BACK, 1)
    assert (second.ending, second.attempt) == (Ending.SUCCEEDED, 1)
    assert len(family) >= 4, "the guardian, the server of workers, its tracker, workers"
    await gone(family, within=20)


@pytest.mark.fault("people: asked to stop twice, jobs in the middle of their grace")
async def test_a_second_sigterm_hands_back_at_once_also_in_the_middle_of_a_grace(
    client: Client, url: str, tmp_path: Path
) -> None:
    handle = await client.submit(LongNap())
    with Daemon(tmp_path / "host", url, drain="0s") as daemon:
        await said(handle, "napping")
        daemon.signal(signal.SIGTERM)
        await said(handle, "cleaning up")

        daemon.signal(signal.SIGTERM)

        assert await daemon.ended(within=20) == 0
    assert (await handle.job()).state is JobState.READY
    assert (await handle.job()).attempt == 0


@pytest.mark.fault("people: asked to stop twice while it drains")
async def test_a_second_sigterm_does_not_wait_for_the_drain_to_pass(client: Client, url: str, tmp_path: Path) -> None:
    film = await client.submit(Film(path=tmp_path / "films", number=1, until=tmp_path / "never"))
    with Daemon(tmp_path / "host", url, drain="60s") as daemon:
        await said(film, "filming")
        family = daemon.family()
        daemon.signal(signal.SIGTERM)
        await daemon.says("draining")

        daemon.signal(signal.SIGTERM)

        assert await daemon.ended(within=20) == 0
    await gone(family, within=20)
    assert (await film.job()).state is JobState.READY


async def test_a_drain_asked_for_through_the_database_is_a_drain(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "host", url, name="host-a") as daemon:
        await until(lambda: registered(client))
        (asked,) = await client.drain("host-a")

        assert await daemon.ended() == 0
    (ended,) = await client.coordinators(ended=True)
    assert ended.session.id == asked.session.id
    assert ended.ended_at is not None


@pytest.mark.fault("people: a claimed job is cancelled before it has a worker")
@pytest.mark.usefixtures("coordinator")
async def test_a_cancel_of_a_job_that_waits_for_a_worker_is_heard(client: Client) -> None:
    naps = await client.submit_many([Nap() for _ in range(3)])
    await said(naps[0], "napping")

    for nap in naps:
        await nap.cancel()

    assert {(await nap.job()).state for nap in naps} == {JobState.CANCELLED}


async def registered(client: Client) -> bool:
    return bool(await client.coordinators())
