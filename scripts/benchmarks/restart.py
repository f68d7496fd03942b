"""Throughput before and after a fault of the database: jobs that do nothing, through one coordinator, the line always full.

Each fault strikes several times. The rate wavers by itself, as tables are vacuumed and disks are shared: the median is held
against that of the same run without a fault.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeAlias
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from benchmarks.disk import Disk, watched_disk
from benchmarks.jobs import AsyncNoOp
from benchmarks.report import Report
from benchmarks.stage import Broken, Stage
from heavyjobs import Client, StoreUnavailable
from heavyjobs.testing.postgres import PostgresServer
from heavyjobs.testing.proxy import FaultyProxy

WINDOW_SECONDS: Final = 6.0
SOON_SECONDS: Final = 10.0
"""After so long the rate is to be what it was."""
ROUNDS: Final = 5
AWAY_SECONDS: Final = 5.0
BATCH: Final = 500
LINE: Final = 3000
LOOK_SECONDS: Final = 0.2
DRAIN_SECONDS: Final = 120.0

Fault: TypeAlias = Callable[[PostgresServer, FaultyProxy, str], Awaitable[None]]
"""Done to the server, or to the connections that go through the proxy to that database; everything is back when it returns."""


async def measure(stage: Stage, report: Report) -> None:
    if stage.server is None:
        report.note("faults of a server", "none: SQLite has no server")
        return
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # that connections are lost is what is wanted here
    # What tables grow by in a day elsewhere, they grow by in a minute here.
    nap = sql.SQL("ALTER SYSTEM SET autovacuum_naptime = {}").format("5s")
    stage.server.execute(nap, sql.Composed([sql.SQL("SELECT pg_reload_conf()")]))
    with watched_disk(stage.folder) as disk:
        by_itself = await _measure(stage, stage.server, disk, report, "nothing at all", _nothing)
        report.note("after nothing at all: share of the rate before", f"{by_itself * 100:,.3g} %")
        for name, fault in FAULTS.items():
            share = await _measure(stage, stage.server, disk, report, name, fault)
            what = f"after {name}: share of the rate before, against that after nothing at all"
            report.at_least(what, share / by_itself * 100, 95, "%")


async def _measure(stage: Stage, server: PostgresServer, disk: Disk, report: Report, name: str, fault: Fault) -> float:
    """Which share of the rate before there was from some seconds after the fault on: the median."""
    url = await stage.database()
    times = 1 if stage.quick else ROUNDS
    async with (
        FaultyProxy(url) as proxy,
        stage.coordinator(proxy.url if fault in THROUGH_THE_PROXY else url),
        Client.open(url) as client,
    ):
        async with feeding(client, url) as fed:
            await asyncio.sleep(WINDOW_SECONDS)
            rounds = [await _round(partial(fault, server, proxy, url)) for _ in range(times)]
        shares = [await _share(url, windows, disk, report, name) for windows in rounds]
        lost, total = await _lost(url, fed)
    report.true(f"{name}: of {total:,} jobs, ended well, each after one invocation", f"all but {lost:,}", good=lost == 0)
    return statistics.median(shares)


Window: TypeAlias = tuple[float, float]
"""Two times of day."""


async def _round(fault: Callable[[], Awaitable[None]]) -> tuple[Window, Window, Window]:
    """Before the fault, soon after it, and then."""
    began = time.time()
    await asyncio.sleep(WINDOW_SECONDS)
    struck = time.time()
    await fault()
    back = time.time()
    await asyncio.sleep(SOON_SECONDS + WINDOW_SECONDS)
    again = back + SOON_SECONDS
    return (began, struck), (back, again), (again, again + WINDOW_SECONDS)


async def _share(url: str, windows: tuple[Window, Window, Window], disk: Disk, report: Report, name: str) -> float:
    before, soon, after = [await _rate(url, *window) for window in windows]
    writes = ", ".join(f"{disk.median_ms(*window):.1f}" for window in windows)
    what = f"{name}: before it, in {SOON_SECONDS:.0f} s after it, in {WINDOW_SECONDS:.0f} s then"
    report.note(what, f"{before:,.0f}, {soon:,.0f}, {after:,.0f} jobs/s; a write {writes} ms")
    return after / before


# -- faults


async def _nothing(_server: PostgresServer, _proxy: FaultyProxy, _url: str) -> None:
    """For comparison."""


async def _restart(server: PostgresServer, _proxy: FaultyProxy, _url: str) -> None:
    await asyncio.to_thread(server.restart)


async def _kill_backends(_server: PostgresServer, _proxy: FaultyProxy, url: str) -> None:
    async with await _asking(url) as asking:
        await asking.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heavyjobs'")


async def _freeze(_server: PostgresServer, proxy: FaultyProxy, _url: str) -> None:
    proxy.freeze()
    await asyncio.sleep(AWAY_SECONDS)
    proxy.thaw()


async def _silence(_server: PostgresServer, proxy: FaultyProxy, _url: str) -> None:
    proxy.freeze(set(proxy.links).__contains__)


async def _exhaust(_server: PostgresServer, _proxy: FaultyProxy, url: str) -> None:
    """All connections are an application's, for a while."""
    async with AsyncExitStack() as held, await _asking(url) as asking:
        for _ in range(20):
            with suppress(psycopg.OperationalError):
                while True:
                    await held.enter_async_context(await AsyncConnection.connect(url, application_name="hog"))
            await asking.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heavyjobs'")
            await asyncio.sleep(AWAY_SECONDS / 20)


THROUGH_THE_PROXY: Final = (_freeze, _silence)

FAULTS: Final[dict[str, Fault]] = {
    "a restart of the server": _restart,
    "all backends were killed": _kill_backends,
    f"{AWAY_SECONDS:.0f} s in which nothing passed": _freeze,
    "all connections went silent for good": _silence,
    f"{AWAY_SECONDS:.0f} s without a free connection": _exhaust,
}


# -- feeding and counting


@dataclass(slots=True)
class Fed:
    """What was accepted."""

    jobs: set[UUID] = field(default_factory=set[UUID])


@asynccontextmanager
async def feeding(client: Client, url: str) -> AsyncGenerator[Fed]:
    """Keep the line full for the length of the block, then wait until it is empty."""
    fed = Fed()
    feeder = asyncio.create_task(_feed(client, url, fed))
    try:
        yield fed
    finally:
        feeder.cancel()
        await asyncio.wait([feeder])
    if not feeder.cancelled() and (error := feeder.exception()) is not None:
        raise error
    deadline = time.monotonic() + DRAIN_SECONDS
    while await _number(url, "SELECT count(*) FROM heavyjobs.jobs WHERE state IN ('scheduled', 'ready', 'running')"):
        if time.monotonic() > deadline:
            raise Broken("jobs are still going a long time after the fault")
        await asyncio.sleep(0.5)


async def _feed(client: Client, url: str, fed: Fed) -> None:
    while True:
        with suppress(StoreUnavailable, psycopg.OperationalError):
            async with await _asking(url) as asking:
                while True:
                    await _fill(client, asking, fed)
                    await asyncio.sleep(LOOK_SECONDS)
        await asyncio.sleep(LOOK_SECONDS)


async def _fill(client: Client, asking: AsyncConnection[TupleRow], fed: Fed) -> None:
    row = await (await asking.execute("SELECT count(*) FROM heavyjobs.jobs WHERE ready_at IS NOT NULL")).fetchone()
    for _ in range(0, LINE - int(row[0] if row else 0), BATCH):
        fed.jobs.update(handle.id for handle in await client.submit_many([AsyncNoOp() for _ in range(BATCH)]))


async def _rate(url: str, began: float, ended: float) -> float:
    ends = await _number(
        url,
        "SELECT count(*) FROM heavyjobs.jobs WHERE finished_at >= %s AND finished_at < %s",
        *(datetime.fromtimestamp(moment, UTC) for moment in (began, ended)),
    )
    return ends / (ended - began)


async def _lost(url: str, fed: Fed) -> tuple[int, int]:
    """How many of all jobs did not succeed in their only invocation, and how many there are."""
    well = (
        "SELECT job.id FROM heavyjobs.jobs AS job JOIN heavyjobs.invocations AS run ON run.job = job.id"
        " GROUP BY job.id HAVING count(*) = 1 AND bool_and(job.state = 'succeeded' AND run.ending = 'succeeded')"
    )
    async with await _asking(url) as asking:
        good = {row[0] for row in await (await asking.execute(well)).fetchall()}
        found = {row[0] for row in await (await asking.execute("SELECT id FROM heavyjobs.jobs")).fetchall()}
    return len((found | fed.jobs) - good), len(found | fed.jobs)


async def _number(url: str, query: str, *values: object) -> int:
    async with await _asking(url) as asking:
        row = await (await asking.execute(query.encode(), values)).fetchone()
    return int(row[0]) if row else 0


async def _asking(url: str) -> AsyncConnection[TupleRow]:
    return await AsyncConnection[TupleRow].connect(url, autocommit=True, application_name="bench", connect_timeout=5)
