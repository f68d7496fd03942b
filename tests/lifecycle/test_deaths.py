"""Deaths of a coordinator, by name: nothing of it is left, and another one goes on."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.model import Ending, JobState
from tests.lifecycle.asking import endings, said, ticked, until
from tests.lifecycle.hosts import HASTY, Daemon, gone
from tests.lifecycle.work import Film, KillsTheForkServer, Nap, Note, StopsTheForkServer


@pytest.mark.fault("process: a coordinator is killed among twenty jobs with child programs")
async def test_a_coordinator_killed_in_the_middle_of_twenty_jobs_leaves_nothing_and_each_job_is_done_once(
    client: Client, url: str, tmp_path: Path
) -> None:
    done, go = tmp_path / "done", tmp_path / "go"
    films = await client.submit_many([Film(path=done, number=number, until=go) for number in range(20)])
    with Daemon(tmp_path / "first", url, slots=20, **HASTY) as first:
        await asyncio.gather(*(said(film, "filming") for film in films))
        family = first.family()
        assert len(family) >= 100, "beside a worker each film has four processes"

        first.signal(signal.SIGKILL)
        await gone(family, within=20)

    go.touch()
    with Daemon(tmp_path / "second", url, slots=4, **HASTY):
        await asyncio.gather(*(film.result(timeout=40) for film in films))

    assert sorted(int(number) for number in done.read_text().split()) == list(range(20))
    assert Counter([tuple(await endings(client, film)) for film in films]) == Counter(
        {(Ending.FORFEITED, Ending.SUCCEEDED): 20}
    )
    assert {(await film.job()).claim for film in films} == {2}


async def test_a_coordinator_that_stands_still_past_its_lease_loses_its_jobs_and_wakes_up_fenced(
    client: Client, url: str, tmp_path: Path
) -> None:
    nap = await client.submit(Nap(until=tmp_path / "enough"))
    with Daemon(tmp_path / "first", url, **HASTY) as first:
        await said(nap, "napping")
        workers = first.workers()
        await first.stand_still(client)

        await gone(workers, within=20)
        (tmp_path / "enough").touch()
        with Daemon(tmp_path / "second", url, **HASTY) as second:
            await second.says("declared dead")
            assert await nap.result(timeout=20) == "rested"

            first.signal(signal.SIGCONT)

            await first.says("session is over")
            await until(lambda: first.said.count("session begins") >= 2)
            assert first.process.poll() is None
            second.signal(signal.SIGTERM)
            await second.ended()
            note = await client.submit(Note(path=tmp_path / "notes"))
            await note.result(timeout=20)

    assert await endings(client, nap) == [Ending.FORFEITED, Ending.SUCCEEDED]
    assert (await nap.job()).claim == 2


@pytest.mark.fault("process: a guardian is killed alone")
async def test_a_guardian_that_was_killed_is_replaced_and_does_its_duty(client: Client, url: str, tmp_path: Path) -> None:
    film = await client.submit(Film(path=tmp_path / "done", number=1, until=tmp_path / "never"))
    with Daemon(tmp_path / "host", url, **HASTY) as daemon:
        await said(film, "filming")
        daemon.guardian().kill()
        await daemon.says("the guardian is gone; starting another")
        await ticked(client)
        family = daemon.family()
        assert (await film.job()).state is JobState.RUNNING

        daemon.signal(signal.SIGKILL)

        await gone(family, within=20)


@pytest.mark.fault("process: a killed coordinator is started again")
async def test_a_killed_coordinator_that_is_started_again_takes_its_jobs_back_at_once(
    client: Client, url: str, tmp_path: Path
) -> None:
    nap = await client.submit(Nap(until=tmp_path / "enough"))
    with Daemon(tmp_path / "first", url) as first:
        await said(nap, "napping")
        first.signal(signal.SIGKILL)
        await first.ended()
    (tmp_path / "enough").touch()

    with Daemon(tmp_path / "second", url, forfeit_after="1h") as second:
        await second.says("declared dead")
        assert await nap.result(timeout=20) == "rested"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.fault("process: a coordinator is killed while it starts")
async def test_a_coordinator_killed_at_any_moment_of_its_start_leaves_nothing(url: str, tmp_path: Path) -> None:
    for number in range(8):
        with Daemon(tmp_path / f"host-{number}", url, slots=6) as daemon:
            await daemon.says("session begins")
            await asyncio.sleep(number * 0.04)  # not to wait for anything: the moment is the point

            daemon.signal(signal.SIGKILL)

            await until(lambda daemon=daemon: not daemon.family(), within=20)  # type: ignore[misc]


@pytest.mark.fault("process: the fork server is killed")
async def test_a_fork_server_that_is_killed_takes_all_workers_along_and_charges_none_of_their_jobs(
    client: Client, url: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "host", url):
        nap = await client.submit(Nap(until=tmp_path / "enough"))
        await said(nap, "napping")

        killer = await client.submit(KillsTheForkServer())
        await killer.result(timeout=20)

        (tmp_path / "enough").touch()
        assert await nap.result(timeout=20) == "rested"
        assert await endings(client, nap) == [Ending.HANDED_BACK, Ending.SUCCEEDED]
        assert await endings(client, killer) == [Ending.HANDED_BACK, Ending.SUCCEEDED]
        [lost, _] = await client.invocations(nap.id)
        assert lost.cause
        assert "the process that forks workers was killed" in lost.cause.message


@pytest.mark.fault("process: a job stops the fork server")
async def test_a_fork_server_that_is_stopped_is_continued_and_tells_the_deaths_of_its_workers(
    client: Client, url: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "host", url) as daemon:
        stopper = await client.submit(StopsTheForkServer())

        await stopper.result(timeout=30)

        assert await endings(client, stopper) == [Ending.CRASHED, Ending.SUCCEEDED]
        assert "the process that forks workers was stopped by a signal; it is continued" in daemon.said


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.fault("process: a coordinator is killed while its fork server is stopped")
async def test_a_stopped_fork_server_does_not_outlive_its_coordinator(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "host", url) as daemon:
        await said(await client.submit(Nap(until=tmp_path / "never")), "napping")
        family, server = daemon.family(), daemon.server()
        daemon.signal(signal.SIGSTOP)  # or it would continue the other
        server.suspend()

        daemon.signal(signal.SIGKILL)

        await gone(family, within=10)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.fault("process: a coordinator drains while its fork server is stopped")
async def test_a_coordinator_drains_though_its_fork_server_is_stopped(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "host", url) as daemon:
        await said(await client.submit(Nap(until=tmp_path / "never")), "napping")
        family, server = daemon.family(), daemon.server()
        server.suspend()

        daemon.signal(signal.SIGTERM)

        assert await daemon.ended() == 0
        await gone(family, within=10)
