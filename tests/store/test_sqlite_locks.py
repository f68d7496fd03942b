"""Several writers on one SQLite file: nobody is told that it is locked, nobody starves, and mishaps pass."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from heavyjobs.errors import SchemaMismatch, StoreUnavailable, UsageError
from heavyjobs.store.records import StoreOptions, Topic
from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.store.sqlite.connecting import LOG_MAX_BYTES
from heavyjobs.store.sqlite.errors import holder_of
from heavyjobs.testing.contract.harness import DEADLINE_SECONDS, new_job, register, submit
from heavyjobs.values import JsonText

LOCKS = """\
1: FLOCK  ADVISORY  WRITE 11 fe:00:77 120 120
2: POSIX  ADVISORY  READ  12 fe:00:77 120 120
3: POSIX  ADVISORY  WRITE 13 fe:00:78 120 120
4: POSIX  ADVISORY  WRITE 14 fe:00:77 121 127
5: POSIX  ADVISORY  WRITE 15 fe:00:77 0 EOF
6: -> POSIX  ADVISORY  WRITE 16 fe:00:77 120 120
7: POSIX  ADVISORY  WRITE 17 fe:00:77 120 120
"""

WRITING = """
import asyncio, json, sys, time
from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.testing.contract.harness import submit

async def write(url, seconds):
    async with SqliteStore(url) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        waits, end = [], time.monotonic() + seconds
        while (start := time.monotonic()) < end:
            await submit(store)
            waits.append(time.monotonic() - start)
        print(json.dumps([len(waits), max(waits)]))

asyncio.run(write(sys.argv[1], float(sys.argv[2])))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(f"sqlite:///{path}") as store:
        await store.migrate()
        yield store


@pytest.mark.fault("storage: eight processes write at once, SQLite")
async def test_eight_processes_write_at_once_without_an_error_and_without_starving(store: SqliteStore) -> None:
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITING, store.url, "2", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(8)
    ]
    pipes = [(writer.stdin, writer.stdout) for writer in writers]
    for _, stdout in pipes:
        assert stdout is not None
        assert await stdout.readline() == b"ready\n"

    answers = await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))

    assert [writer.returncode for writer in writers] == [0] * 8
    counts, waits = zip(*(json.loads(answer) for answer, _ in answers), strict=True)
    assert min(counts) > 0, counts
    assert max(waits) < StoreOptions().timeout_seconds, waits
    with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("SELECT count(*) FROM heavyjobs_jobs").fetchone() == (sum(counts),)


async def test_many_tasks_of_one_store_write_at_once(path: Path, store: SqliteStore) -> None:
    async with SqliteStore(f"sqlite:///{path}") as patient:
        ids = await asyncio.gather(*(submit(patient) for _ in range(200)))

    assert len(await store.get_many([job for [job] in ids])) == 200


async def test_a_writer_waits_for_a_lock_and_goes_on_when_it_is_free(path: Path) -> None:
    async with SqliteStore(f"sqlite:///{path}") as store:
        await store.migrate()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(submit(store))
            done, _ = await asyncio.wait([waiting], timeout=0.1)
            assert not done
            other.execute("ROLLBACK")

            async with asyncio.timeout(DEADLINE_SECONDS):
                [job] = await waiting

        assert await store.get(job) is not None


async def test_a_lock_held_too_long_is_told_with_its_holder_and_passes(path: Path, store: SqliteStore) -> None:
    hasty = SqliteStore(f"sqlite:///{path}", StoreOptions(timeout_seconds=0.2))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailable, match=r"still locked by another connection of this process after 0\.2 s"):
            async with hasty:
                await submit(hasty)
        assert await store.coordinators() == []  # readers are held up by nobody

        other.execute("ROLLBACK")
    assert await submit(store)


def _size_bytes(path: Path) -> int:
    return path.stat().st_size


def test_who_writes_is_found_among_all_locks() -> None:
    assert holder_of(77, LOCKS) == 17
    assert holder_of(78, LOCKS) == 13
    assert holder_of(79, LOCKS) is None


async def test_a_full_disk_is_told_and_the_writer_recovers_when_there_is_room(store: SqliteStore) -> None:
    [pages] = await store._writer.run(lambda db: db.execute("PRAGMA page_count").fetchone())
    await store._writer.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 20}").fetchone())
    large = new_job(parameters=JsonText('"' + "x" * 500_000 + '"'))

    with pytest.raises(StoreUnavailable, match="has no room left"):
        await store.submit([new_job(), large])
    await store._writer.run(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
    answers = await store.submit([new_job(), large])

    assert all(answer.created for answer in answers)
    assert len(await store.get_many([answer.id for answer in answers])) == 2


async def test_the_log_is_moved_into_the_database_and_begun_anew_before_it_grows_large(path: Path, store: SqliteStore) -> None:
    largest = 0
    for _ in range(60):
        await submit(store, *(new_job(parameters=JsonText('"' + "x" * 100_000 + '"')) for _ in range(5)))
        largest = max(largest, _size_bytes(path.with_name("jobs.db-wal")))

    assert _size_bytes(path) > 20_000_000
    assert largest < 2 * LOG_MAX_BYTES
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_tick_goes_before_all_that_waits_to_be_written(path: Path) -> None:
    async with SqliteStore(f"sqlite:///{path}") as store:
        await store.migrate()
        session = await register(store)
        flood = [asyncio.create_task(submit(store, *(new_job() for _ in range(300)))) for _ in range(40)]
        await asyncio.sleep(0)  # all of them are in line

        await store.tick(session, [])
        await store.end_session(session)

        assert sum(task.done() for task in flood) < 40
        assert sum(map(len, await asyncio.gather(*flood))) == 40 * 300


async def test_who_gave_up_waiting_has_nothing_written(path: Path) -> None:
    async with SqliteStore(f"sqlite:///{path}") as store:
        await store.migrate()
        flood = [asyncio.create_task(submit(store, *(new_job() for _ in range(300)))) for _ in range(5)]
        late = new_job()
        leaving = asyncio.create_task(submit(store, late))
        await asyncio.sleep(0)

        leaving.cancel()
        await asyncio.gather(*flood)

        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await store.get(late.id) is None


async def test_the_pragmas_that_safety_rests_on_are_set(store: SqliteStore) -> None:
    def pragma(name: str) -> object:
        return store._writer._connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("mmap_size") == 0
    assert pragma("wal_autocheckpoint") == 0
    session = await register(store)
    assert pragma("synchronous") == 2  # FULL: what people were told must survive a power cut
    await store.tick(session, [])
    assert pragma("synchronous") == 1
    await submit(store)
    assert pragma("synchronous") == 2


async def test_what_a_database_without_schema_is_asked_for_says_to_migrate(tmp_path: Path) -> None:
    async with SqliteStore(f"sqlite:///{tmp_path}/empty.db") as store:
        with pytest.raises(SchemaMismatch, match="heavyjobs migrate"):
            await submit(store)


async def test_a_watch_outlives_a_database_that_cannot_be_looked_at(
    path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heavyjobs.store.sqlite.wakeups.MISHAP_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with store.wakeups([Topic.CONTROL]) as wakeups, asyncio.timeout(DEADLINE_SECONDS):
            other.execute("ALTER TABLE heavyjobs_wakeups RENAME TO away")
            assert (await anext(wakeups)).topic is Topic.CONTROL  # anything may have happened
            other.execute("ALTER TABLE away RENAME TO heavyjobs_wakeups")

            await store.drain([])
            assert (await anext(wakeups)).topic is Topic.CONTROL


# -- the caller's own connection


async def test_a_connection_on_another_file_is_refused(tmp_path: Path, store: SqliteStore) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, closing(sqlite3.connect(":memory:")) as memory:
        with pytest.raises(UsageError, match=r"other\.db, the jobs are in"):
            await store.submit_within(other, [new_job()])
        with pytest.raises(UsageError, match="in memory"):
            store.submit_within_sync(memory, [new_job()])


async def test_the_callers_connection_may_make_rows_as_it_likes(path: Path, store: SqliteStore) -> None:
    with closing(sqlite3.connect(path)) as own:
        own.row_factory = lambda _, row: list(row)
        [first] = await store.submit_within(own, [new_job(unique_key="k")])
        [again] = await store.submit_within(own, [new_job(unique_key="k")])
        assert own.in_transaction
        own.commit()

    assert (again.id, again.created) == (first.id, False)
    assert await store.get(first.id) is not None


async def test_a_locked_database_is_told_in_the_callers_transaction_too(path: Path, store: SqliteStore) -> None:
    with closing(sqlite3.connect(path, timeout=0)) as own, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailable, match=f"{os.sep}jobs.db: still locked"):
            store.submit_within_sync(own, [new_job()])
