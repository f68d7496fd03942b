"""Another process keeps SQLite's locks, or every write fails: what runs goes on, and all is as before when that is over."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import Ending
from heavyjobs.store import open_store
from heavyjobs.store.records import StoreOptions
from heavyjobs.store.sqlite.connecting import LOG_MAX_BYTES
from heavyjobs.testing.contract.harness import new_job, register, submit
from heavyjobs.values import JsonText
from tests.faults.ordeal import ordeal
from tests.lifecycle.asking import endings, said, texts, until
from tests.lifecycle.hosts import Daemon
from tests.lifecycle.work import Ticker

SOON = StoreOptions(timeout_seconds=0.5)

_KEEPER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
for sentence in sys.argv[2:]:
    connection.execute(sentence).fetchall()
print("kept", flush=True)
sys.stdin.read()
"""


@contextmanager
def kept(url: str, *sentences: str) -> Generator[subprocess.Popen[bytes]]:
    """Another process has said that to the database, and stays where that has brought it."""
    argv = [sys.executable, "-c", _KEEPER, url.removeprefix("sqlite:///"), *sentences]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"kept\n"
        yield keeper


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


async def migrated(url: str) -> str:
    async with open_store(url) as store:
        await store.migrate()
    return url


@pytest.mark.fault("storage: the write lock kept by another process for longer than a call may take, SQLite")
async def test_a_lock_that_another_process_keeps_is_told_with_its_name_and_costs_no_job_anything(
    tmp_path: Path, url: str
) -> None:
    async with ordeal(await migrated(url), tmp_path) as jobs, open_store(url, SOON) as store:
        with kept(url, "BEGIN IMMEDIATE") as keeper:
            with pytest.raises(StoreUnavailable, match=rf"still locked by process {keeper.pid} \(python.*after 0\.5 s"):
                await submit(store, refused := new_job())
            submitting = asyncio.create_task(jobs.submit())
            assert await store.coordinators()  # whoever only reads is held up by nobody
            assert not submitting.done()
        await submitting
        assert await store.get(refused.id) is None


@pytest.mark.fault("storage: the whole database kept by one process, SQLite")
async def test_a_database_that_another_process_keeps_for_itself_is_told_and_used_once_it_is_free(url: str) -> None:
    await migrated(url)
    with (
        kept(url, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN IMMEDIATE", "COMMIT"),
        pytest.raises(StoreUnavailable, match=r"jobs\.db: still locked by .* after 0\.5 s; end its transaction"),
    ):
        await open_store(url, SOON).__aenter__()

    async with open_store(url, SOON) as store:
        assert len(await submit(store)) == 1


@pytest.mark.fault("storage: a reader that keeps its view for long, SQLite")
async def test_a_reader_that_never_ends_keeps_the_log_from_being_emptied_and_nothing_else(url: str) -> None:
    log = Path(f"{url.removeprefix('sqlite:///')}-wal")
    large = JsonText('"' + "x" * 200_000 + '"')
    async with open_store(await migrated(url)) as store:
        session = await register(store)
        with kept(url, "BEGIN", "SELECT count(*) FROM heavyjobs_jobs"):
            jobs = [job for _ in range(50) for job in await submit(store, new_job(parameters=large))]
            assert (await store.tick(session, [])).number == 1
            assert len(await store.get_many(jobs)) == 50
            assert size_bytes(log) > 2 * LOG_MAX_BYTES

        await submit(store)
        await submit(store)
        assert size_bytes(log) <= LOG_MAX_BYTES


def size_bytes(file: Path) -> int:
    return file.stat().st_size


@contextmanager
def failing_writes(pid: int) -> Generator[None]:
    """Every write of that process to a file fails beyond its first byte, with another error than a full disk's."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@pytest.mark.fault("storage: every write fails for a while, SQLite")
async def test_writes_that_fail_for_a_while_cost_no_job_anything(tmp_path: Path, url: str) -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    try:
        async with Client.open(await migrated(url)) as client:
            with Daemon(tmp_path / "host", url, unread=write, lease="60s", forfeit_after="2m") as daemon:
                ticker = await client.submit(Ticker(until=tmp_path / "enough", ticks=tmp_path / "ticks"))
                await said(ticker, "tick 3")
                with failing_writes(daemon.process.pid):
                    log = Reading(read)
                    await until(lambda: log.has("tick failed") and log.has("writing again"))
                    assert log.has("jobs.db cannot be read or written; look at the disk and at the kernel's log")
                (tmp_path / "enough").touch()

                ticks = await ticker.result(timeout=30)

            assert await texts(ticker) == [f"tick {number}" for number in range(ticks)]
            assert await endings(client, ticker) == [Ending.SUCCEEDED]
    finally:
        os.close(read)
        os.close(write)


class Reading:
    """What came out of a pipe until now."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = ""

    def has(self, words: str) -> bool:
        with suppress(BlockingIOError):
            self._text += os.read(self._descriptor, 1 << 16).decode()
        return words in self._text
