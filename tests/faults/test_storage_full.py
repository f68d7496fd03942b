"""The disk is full for a while: submits fail with words, what runs goes on, and once there is room everything ends."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import psycopg
import pytest
from psycopg import sql

from heavyjobs import Client
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import Ending, JobState
from heavyjobs.store import open_store
from heavyjobs.store.records import CancelAnswer, StoreOptions
from heavyjobs.store.sqlite.connecting import LOG_MAX_BYTES
from heavyjobs.testing.contract.harness import chunk, end, finish, new_job, record, register, running, submit, take
from heavyjobs.testing.postgres import PostgresServer, postgres_server
from heavyjobs.testing.postgres_user import server_user
from heavyjobs.values import JsonText
from tests.faults.disks import SmallDisk, small_disk, with_mounts
from tests.faults.ordeal import ordeal
from tests.lifecycle.asking import endings, said, texts, ticked, until
from tests.lifecycle.hosts import Daemon
from tests.lifecycle.work import Chatty, Note, Ticker

PAGE_BYTES: Final = 4096
QUICK: Final = StoreOptions(timeout_seconds=2.0)
LINES: Final = 450_000
"""With their times and sources many times what may wait for a database."""

HELD_BACK_MAX_BYTES: Final = 64 << 20
"""A batch on its way, and what waits behind it, each 4 MiB of lines that are objects in memory."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


async def on(disk: SmallDisk) -> str:
    url = f"sqlite:///{disk.path}/jobs.db"
    async with open_store(url) as store:
        await store.migrate()
    return url


@pytest.mark.fault("storage: disk full, SQLite")
@with_mounts
async def test_a_full_disk_is_told_and_costs_no_job_anything(tmp_path: Path, folder: Path) -> None:
    with small_disk(folder, size="16m") as disk:
        async with ordeal(await on(disk), tmp_path) as jobs:
            disk.fill()

            with pytest.raises(StoreUnavailable, match=r"/jobs\.db has no room left on its disk; free some"):
                await jobs.client.submit(Note(path=tmp_path / "never"))
            ticks = len((tmp_path / "ticks").read_text().split())
            await until(lambda: len((tmp_path / "ticks").read_text().split()) > ticks + 20)

            disk.free()

    assert not (tmp_path / "never").exists()


@pytest.mark.fault("storage: disk full for longer than the lease, SQLite")
@with_mounts
async def test_a_disk_that_is_full_for_longer_than_the_lease_costs_no_running_job_anything(
    tmp_path: Path, folder: Path
) -> None:
    with small_disk(folder, size="16m") as disk:
        url = await on(disk)
        async with Client.open(url, options=QUICK) as client:
            with Daemon(tmp_path / "host", url, lease="3s", kill="500ms", forfeit_after="8s"):
                ticker = await client.submit(Ticker(until=tmp_path / "enough", ticks=tmp_path / "ticks"))
                await said(ticker, "tick 3")
                disk.fill()
                await ticked(client, times=60)  # at least two leases
                (tmp_path / "enough").touch()
                disk.free()

                ticks = await ticker.result(timeout=30)

            assert await texts(ticker) == [f"tick {number}" for number in range(ticks)]
            assert await endings(client, ticker) == [Ending.SUCCEEDED]


@with_mounts
async def test_on_a_full_disk_ticks_and_cancels_go_on_for_ever_and_what_adds_rows_is_refused(folder: Path) -> None:
    """Far more ticks than the log has room for: it is emptied and begun anew."""
    with small_disk(folder, size="16m") as disk:
        async with open_store(await on(disk)) as store:
            session = await register(store)
            claim = await running(store, session)
            [waiting] = await submit(store)
            await store.tick(session, [])
            disk.fill()

            for refused in (
                store.submit([new_job()]),
                store.spawn(session, claim, [new_job(parent=claim.job, child_key="k", depth=1)]),
                store.checkpoint(session, claim, JsonText("1")),
                take(store, session),
                record(store, session, logs=[chunk(claim, 0, "a line")]),
                record(store, session, ends=[end(claim)]),
            ):
                with pytest.raises(StoreUnavailable, match="has no room left on its disk; free some"):
                    await refused
            for _ in range(3 * LOG_MAX_BYTES // PAGE_BYTES):
                await store.tick(session, [])
            assert await store.cancel([waiting]) == {waiting: CancelAnswer.CANCELLED}

            disk.free()
            assert await finish(store, session, claim) is JobState.SUCCEEDED


@pytest.mark.fault("storage: logs flood a full disk, SQLite")
@with_mounts
async def test_what_a_job_says_on_a_full_disk_waits_with_the_job_and_takes_no_memory(tmp_path: Path, folder: Path) -> None:
    with small_disk(folder, size="96m") as disk:
        url = await on(disk)
        async with Client.open(url, options=QUICK) as client:
            with Daemon(tmp_path / "host", url, lease="60s", forfeit_after="2m") as daemon:
                await (await client.submit(Chatty(lines=10, raw=True))).result(timeout=30)
                chatty = await client.submit(Chatty(lines=LINES, raw=True))
                await until(lambda: bool(talking(daemon)))
                disk.fill()
                host = psutil.Process(daemon.process.pid)
                before = host.memory_info().rss

                await until(lambda: held_back(daemon))

                assert host.memory_info().rss - before < HELD_BACK_MAX_BYTES
                assert (await client.get(chatty.id)).state is JobState.RUNNING
                disk.free()
                await chatty.result(timeout=60)

            assert await texts(chatty) == [f"line {number}" for number in range(LINES)]
            assert await endings(client, chatty) == [Ending.SUCCEEDED]


def talking(daemon: Daemon) -> dict[int, int]:
    """How much the programs that talk for a job have said until now, by pid."""
    said_bytes: dict[int, int] = {}
    for program in daemon.programs():
        with suppress(psutil.NoSuchProcess):
            if program.name() == "seq":
                said_bytes[program.pid] = program.io_counters().write_chars
    return said_bytes


def held_back(daemon: Daemon) -> bool:
    """Whether they wait, having said nothing for a while: nobody reads it."""
    before = talking(daemon)
    time.sleep(0.5)  # what does not happen cannot be waited for
    return bool(before) and talking(daemon) == before


@pytest.mark.fault("storage: disk full, PostgreSQL")
@with_mounts
async def test_a_full_disk_of_postgres_is_told_and_costs_no_job_anything(tmp_path: Path) -> None:
    """Its tables are on the full disk, its log is not."""
    with postgres_server() as server:
        folder = server.socket_folder / "disk"
        folder.mkdir()
        with small_disk(folder, size="32m") as disk:
            url = await in_tablespace(server, disk)
            async with ordeal(url, tmp_path) as jobs:
                disk.fill()

                with pytest.raises(StoreUnavailable, match=r"No space left on device; free some on the database's host"):
                    await jobs.client.submit(Note(path=tmp_path / "some", text="x" * 900_000))
                ticks = len((tmp_path / "ticks").read_text().split())
                await until(lambda: len((tmp_path / "ticks").read_text().split()) > ticks + 20)

                disk.free()
            server.stop(immediate=True)


@pytest.mark.fault("storage: disk full under PostgreSQL's own log, which crashes")
@with_mounts
async def test_a_postgres_that_crashes_on_a_full_disk_costs_no_job_anything_once_it_is_back(tmp_path: Path) -> None:
    with postgres_server() as server:
        folder = server.socket_folder / "disk"
        folder.mkdir()
        with small_disk(folder, size="160m") as disk:
            move_to(server, disk)
            url = server.create_database()
            async with open_store(url) as store:
                await store.migrate()
            async with ordeal(url, tmp_path) as jobs:
                disk.fill()
                with pytest.raises(psycopg.OperationalError):
                    await asyncio.to_thread(server.execute, TO_THE_LOG)
                submitting = asyncio.create_task(jobs.submit())
                with pytest.raises(StoreUnavailable):
                    await open_store(url, StoreOptions(timeout_seconds=0.5)).__aenter__()
                disk.free()

                await asyncio.to_thread(server.restart, immediate=True)
                await submitting
            assert "No space left on device" in server.log
            server.stop(immediate=True)


TO_THE_LOG: Final = sql.SQL("SELECT pg_logical_emit_message(false, 'tests', repeat('x', 40000000))").format()
"""More than there is room for in the pieces of PostgreSQL's log that are there."""


def move_to(server: PostgresServer, disk: SmallDisk) -> None:
    """Have all of the server's data on that disk."""
    data = server.socket_folder / "data"
    server.stop()
    subprocess.run(["cp", "-a", data, disk.path], check=True)
    shutil.rmtree(data)
    data.symlink_to(disk.path / "data")
    server.start()


async def in_tablespace(server: PostgresServer, disk: SmallDisk) -> str:
    """A fresh, migrated database whose tables are on that disk."""
    inside = disk.path / "tables"
    inside.mkdir()
    if (owner := server_user()).uid is not None:
        owner.own(inside)
    server.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(sql.Literal(str(inside))))
    server.execute(sql.SQL("CREATE DATABASE small TABLESPACE small TEMPLATE template0").format())
    async with open_store(server.url_of("small")) as store:
        await store.migrate()
    return server.url_of("small")
