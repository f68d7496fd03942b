"""Time goes wrong: clocks are set, hosts disagree, a machine sleeps, a database is away for longer than silence may last.

No wall clock decides whose a job is; it only schedules and is shown.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import psutil
import pytest

from heavyjobs import Client
from heavyjobs.model import Ending, JobState
from tests.faults.clocks import HostClock, ServerClock
from tests.faults.ordeal import sound
from tests.lifecycle.asking import AnyHandle, endings, said, texts, until
from tests.lifecycle.hosts import HASTY, Daemon, gone
from tests.lifecycle.test_outages import Outage, outage
from tests.lifecycle.work import Count, Flaky, Nap, Note, Ticker

pytestmark = pytest.mark.long

__all__ = ["outage"]

HOUR: Final = 3600.0
FORFEIT_AFTER_SECONDS: Final = 6.0
WATCHFUL: Final[Mapping[str, Any]] = {"lease": "4s", "kill": "1s", "forfeit_after": f"{FORFEIT_AFTER_SECONDS}s"}
SetClock: TypeAlias = Callable[[float], None]
JUMPS: Final = [pytest.param(7 * HOUR, id="ahead"), pytest.param(-7 * HOUR, id="back")]


@pytest.fixture
def set_database_clock(url: str, tmp_path: Path) -> Generator[SetClock]:
    """Sets the clock that the database goes by, seconds ahead of the real one; SQLite's is the one of the host."""
    if url.startswith("sqlite"):
        host = HostClock(tmp_path / "clock")
        with host.in_force():
            yield lambda seconds: host.set(wall=seconds)
    else:
        server = ServerClock(url)
        yield lambda seconds: server.set(wall=seconds)


@contextmanager
def daemon_by(clock: HostClock, folder: Path, url: str, **how: Any) -> Generator[Daemon]:
    """A daemon on a host that has this clock."""
    with clock.in_force():
        daemon = Daemon(folder, url, **how)
    with daemon:
        yield daemon


# -- clocks that are set


@pytest.mark.parametrize(
    "jump",
    [
        pytest.param(7 * HOUR, id="ahead", marks=pytest.mark.fault("time: the database's clock jumps hours ahead")),
        pytest.param(-7 * HOUR, id="back", marks=pytest.mark.fault("time: the database's clock jumps hours back")),
    ],
)
async def test_a_database_whose_clock_is_set_takes_no_live_job_away(
    url: str, tmp_path: Path, set_database_clock: SetClock, jump: float
) -> None:
    with Daemon(tmp_path / "first", url), Daemon(tmp_path / "second", url):
        async with Client.open(url) as client:
            naps = await client.submit_many([Nap(until=tmp_path / "enough") for _ in range(4)])
            await asyncio.gather(*(said(nap, "napping") for nap in naps))

            set_database_clock(jump)
            await all_ticked(client, hosts=2, times=20)

            assert is_about(jump, [one.ticked_at for one in await client.coordinators()])
            (tmp_path / "enough").touch()
            assert [await nap.result(timeout=30) for nap in naps] == ["rested"] * 4
            assert [await endings(client, nap) for nap in naps] == [[Ending.SUCCEEDED]] * 4
            retried = await client.submit(Flaky(good_from=2))
            assert await retried.result(timeout=30) == 2
            assert [one.fenced_at for one in await client.coordinators(ended=True)] == [None, None]
    await sound(url, [*naps, retried])


@pytest.mark.fault("time: a coordinator falls silent after the database's clock was set back")
async def test_a_coordinator_that_falls_silent_after_the_clock_was_set_back_is_found_as_soon_as_ever(
    url: str, tmp_path: Path, set_database_clock: SetClock
) -> None:
    with Daemon(tmp_path / "first", url, **HASTY) as first:
        async with Client.open(url) as client:
            nap = await client.submit(Nap(until=tmp_path / "enough"))
            await said(nap, "napping")
            set_database_clock(-7 * HOUR)
            await all_ticked(client, hosts=1, times=3)
            await first.stand_still(client)
            (tmp_path / "enough").touch()

            with Daemon(tmp_path / "second", url, **HASTY) as second:
                await second.says("declared dead")
                assert await nap.result(timeout=30) == "rested"

            assert await endings(client, nap) == [Ending.FORFEITED, Ending.SUCCEEDED]


@pytest.mark.fault("time: the database's clock jumps, and with it what is due")
async def test_a_clock_that_jumps_ahead_makes_jobs_due_and_that_is_all(
    url: str, tmp_path: Path, set_database_clock: SetClock
) -> None:
    with Daemon(tmp_path / "host", url):
        async with Client.open(url) as client:
            soon, late = await client.submit(Count(), delay="6h"), await client.submit(Count(), delay="30h")

            set_database_clock(7 * HOUR)

            await soon.result(timeout=30)
            assert (await late.job()).state is JobState.SCHEDULED


@pytest.mark.fault("time: the database's clock jumps back, and what was scheduled waits for longer")
async def test_what_a_clock_that_jumped_back_keeps_waiting_runs_once_its_delay_is_changed(
    url: str, tmp_path: Path, set_database_clock: SetClock
) -> None:
    with Daemon(tmp_path / "host", url):
        async with Client.open(url) as client:
            job = await client.submit(Count(), delay="1h")
            set_database_clock(-7 * HOUR)

            await job.update(delay="0s")

            await job.result(timeout=30)


@pytest.mark.fault("time: a host's wall clock jumps by hours")
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_a_host_whose_wall_clock_is_set_times_nothing_out_and_gives_nothing_up(
    client: Client, url: str, tmp_path: Path, jump: float
) -> None:
    clock = HostClock(tmp_path / "clock")
    with daemon_by(clock, tmp_path / "host", url), Daemon(tmp_path / "other", url):
        tickers = [
            await client.submit(Ticker(until=tmp_path / "enough", ticks=tmp_path / f"ticks {number}")) for number in range(4)
        ]
        for ticker in tickers:
            await ticker.update(timeout="1h")
        await asyncio.gather(*(said(ticker, "tick 3") for ticker in tickers))

        clock.set(wall=jump)
        await all_ticked(client, hosts=2, times=20)

        (tmp_path / "enough").touch()
        for ticker in tickers:
            ticks = await ticker.result(timeout=30)
            assert await texts(ticker) == [f"tick {number}" for number in range(ticks)]
            assert await endings(client, ticker) == [Ending.SUCCEEDED]
        shown = [line.time for ticker in tickers async for line in ticker.logs()]
        assert max(shown) - min(shown) > 6 * HOUR, "its log shows the time by its own clock"
        assert [one.fenced_at for one in await client.coordinators(ended=True)] == [None, None]
    await sound(url, tickers)


@pytest.mark.fault("time: two hosts' clocks are minutes apart")
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_hosts_whose_clocks_are_apart_share_the_work_and_do_each_job_once(
    client: Client, url: str, tmp_path: Path
) -> None:
    early, late = HostClock(tmp_path / "early clock"), HostClock(tmp_path / "late clock")
    early.set(wall=-90)
    late.set(wall=90)
    with daemon_by(early, tmp_path / "early", url), daemon_by(late, tmp_path / "late", url):
        naps = await client.submit_many([Nap(until=tmp_path / "enough") for _ in range(4)])
        await asyncio.gather(*(said(nap, "napping") for nap in naps))
        (tmp_path / "enough").touch()
        notes = await client.submit_many([Note(path=tmp_path / "notes", text=f"note-{number}") for number in range(30)])
        flaky = await client.submit_many([Flaky(good_from=3) for _ in range(5)])

        handles: list[AnyHandle] = [*naps, *notes, *flaky]
        for one in handles:
            await one.result(timeout=60)

        assert sorted((tmp_path / "notes").read_text().splitlines()) == sorted(f"note-{number} 1" for number in range(30))
        assert {session for nap in naps for session in await sessions(client, nap.id.hex)} == {
            one.session.id.hex for one in await client.coordinators()
        }
    await sound(url, handles)


# -- machines that sleep


@pytest.mark.fault("time: a machine that slept past its lease wakes up, its jobs untaken")
async def test_a_machine_that_slept_past_its_lease_ends_its_trees_when_it_wakes_and_begins_again(
    client: Client, url: str, tmp_path: Path
) -> None:
    clock = HostClock(tmp_path / "clock")
    with daemon_by(clock, tmp_path / "laptop", url) as laptop:
        nap = await client.submit(Nap(until=tmp_path / "enough"))
        await said(nap, "napping")
        workers = laptop.workers()
        assert workers

        clock.set(wall=HOUR, boot=HOUR)

        await gone(workers, within=30)
        (tmp_path / "enough").touch()
        await laptop.says("session is over")
        assert await nap.result(timeout=30) == "rested"
    assert await endings(client, nap) == [Ending.FORFEITED, Ending.SUCCEEDED]
    if url.startswith("postgres"):  # SQLite's clock was an hour ahead for the daemon alone
        await sound(url, [nap])


@pytest.mark.fault("time: a machine sleeps, others take its jobs, and it wakes up at work")
async def test_a_machine_that_wakes_up_at_work_that_others_have_taken_changes_nothing(
    client: Client, url: str, tmp_path: Path
) -> None:
    clock = HostClock(tmp_path / "clock")
    with daemon_by(clock, tmp_path / "laptop", url, **HASTY) as laptop:
        nap = await client.submit(Nap(until=tmp_path / "enough"))
        await said(nap, "napping")
        await laptop.stand_still(client)
        asleep = stopped(laptop.family())
        with Daemon(tmp_path / "desk", url, **HASTY) as desk:
            await desk.says("declared dead")
            (tmp_path / "enough").touch()
            assert await nap.result(timeout=30) == "rested"
            before = await nap.job()

            clock.set(boot=HOUR)
            for process in asleep:
                process.send_signal(signal.SIGCONT)

            await laptop.says("session is over")
            await until(lambda: laptop.said.count("session begins") >= 2)
            assert await nap.job() == before
            assert await endings(client, nap) == [Ending.FORFEITED, Ending.SUCCEEDED]
            await idle(client)
    await sound(url, [nap])


# -- outages longer than silence may last


@pytest.mark.fault("time: the database is away for longer than silence may last")
async def test_an_outage_longer_than_silence_may_last_makes_nobody_declare_another_dead(
    client: Client, url: str, tmp_path: Path, outage: Outage
) -> None:
    naps = await client.submit_many([Nap(until=tmp_path / "enough") for _ in range(4)])
    hosts = Daemon(tmp_path / "first", url, **WATCHFUL), Daemon(tmp_path / "second", url, **WATCHFUL)
    with hosts[0], hosts[1]:
        await asyncio.gather(*(said(nap, "napping") for nap in naps))
        async with outage():
            await asyncio.sleep(2 * FORFEIT_AFTER_SECONDS)  # not to wait for anything: the length is the fault
        (tmp_path / "enough").touch()

        assert [await nap.result(timeout=60) for nap in naps] == ["rested"] * 4

        for host in hosts:
            await until(lambda host=host: host.said.count("session begins") >= 2)  # type: ignore[misc]
            assert declared_dead_by(host) <= {host.process.pid}, "it may end sessions of its own, and nobody else's"
        assert {one.session.pid for one in await client.coordinators()} == {host.process.pid for host in hosts}
        for nap in naps:
            *before, last = await endings(client, nap)
            assert last is Ending.SUCCEEDED
            assert set(before) <= {Ending.FORFEITED}
    await sound(url, naps)


# -- looking


async def all_ticked(client: Client, *, hosts: int, times: int) -> None:
    """Wait until each of so many coordinators has ticked so often."""
    await until(lambda: _are_live(client, hosts))
    before = {one.session.id: one.tick for one in await client.coordinators()}

    async def went_on() -> bool:
        now = {one.session.id: one.tick for one in await client.coordinators()}
        return all(now.get(session, 0) >= tick + times for session, tick in before.items())

    await until(went_on, within=60)


async def _are_live(client: Client, hosts: int) -> bool:
    return len(await client.coordinators()) == hosts


def is_about(jump: float, times: Sequence[datetime]) -> bool:
    """Whether these times are so many seconds ahead of now."""
    expected = datetime.now(UTC) + timedelta(seconds=jump)
    return all(abs((time - expected).total_seconds()) < 300 for time in times)


async def idle(client: Client) -> None:
    """Cancel all that waits or runs, and wait until nothing does."""
    jobs = await client.list(limit=1000)
    await client.cancel(*(job.id for job in jobs))
    for job in jobs:
        await client.handle(job.id).wait(timeout=30)


def declared_dead_by(host: Daemon) -> set[int]:
    """The processes whose sessions it has ended."""
    return {int(pid) for pid in re.findall(r"declared dead .* pid (\d+)", host.said)}


async def sessions(client: Client, job: str) -> list[str]:
    return [one.session.hex for one in await client.invocations(job)]


def stopped(processes: set[psutil.Process]) -> set[psutil.Process]:
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    return processes
