"""SQLite's files are damaged, taken away, replaced, or not to be written: told with what would do, and nothing is lost."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from heavyjobs import Client
from heavyjobs.cli.app import app
from heavyjobs.cli.exits import Exit
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import Ending
from heavyjobs.store.records import Filter
from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.store.sqlite.addresses import file_system
from heavyjobs.testing.contract.harness import new_job, register, submit, take
from heavyjobs.values import JsonText
from tests.faults.disks import small_disk, with_mounts
from tests.lifecycle.asking import endings, said, until
from tests.lifecycle.hosts import HASTY, Daemon
from tests.lifecycle.work import Nap, Note

JOBS = 50
PAGE_BYTES = 4096


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """With jobs on many pages; nobody has it open."""
    path = tmp_path / "jobs.db"
    async with SqliteStore(f"sqlite:///{path}") as store:
        await store.migrate()
        await submit(store, *(new_job(parameters=JsonText('"' + "x" * 3000 + '"')) for _ in range(JOBS)))
    return path


async def worked(path: Path) -> int:
    """Use it as anyone would; how many jobs there are."""
    async with SqliteStore(f"sqlite:///{path}") as store:
        await store.check_schema()
        await submit(store)
        await take(store, await register(store))
        return len(await store.list(Filter(limit=1000)))


# -- damage


def content(path: Path) -> bytes:
    return path.read_bytes()


def overwritten(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.fault("storage: a database whose header is garbage")
async def test_a_database_with_a_garbage_header_is_told_and_left_as_it_is(database: Path) -> None:
    overwritten(database, 0, b"garbage" * 20)
    before = content(database)

    with pytest.raises(StoreUnavailable, match=f"{database} is not a SQLite database; it was left as it is"):
        await worked(database)

    assert content(database) == before


UNREAD: Final = {
    "heavyjobs_jobs_due",
    "heavyjobs_jobs_live_key",
    "heavyjobs_jobs_child",
    "heavyjobs_logs",
    "sqlite_autoindex_heavyjobs_logs_1",
}
"""What `worked` has no need to look at while it is empty: nobody notices damage there yet."""


@pytest.mark.fault("storage: a damaged page")
async def test_a_damaged_page_is_told_with_what_would_do(database: Path) -> None:
    before, names = content(database), first_pages(database)
    unnoticed: set[str] = set()
    for page in range(1, len(before) // PAGE_BYTES):
        put_back(database, before)
        overwritten(database, page * PAGE_BYTES, random.Random(page).randbytes(PAGE_BYTES))  # noqa: S311 - garbage

        try:
            await worked(database)
        except StoreUnavailable as told:
            assert f"{database} is damaged; stop every coordinator and bring back a backup" in str(told)  # noqa: PT017
        else:
            unnoticed.add(names.get(page, f"page {page}"))

    assert unnoticed == UNREAD


def first_pages(path: Path) -> dict[int, str]:
    """Which table or index begins on which page; the first page of all is 0."""
    with closing(sqlite3.connect(path)) as connection:
        return {root - 1: name for root, name in connection.execute("SELECT rootpage, name FROM sqlite_schema")}


def put_back(path: Path, database: bytes) -> None:
    """As it was, without what its damaged copy has left beside it."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(database)


@pytest.mark.fault("storage: text that is damaged where SQLite does not notice")
async def test_text_that_is_no_text_any_more_is_told_as_damage_and_not_repeated_at_length(database: Path) -> None:
    overwritten(database, content(database).index(b"x" * 1000) + 500, b"\xff" * 100)

    with pytest.raises(StoreUnavailable, match="is damaged; stop every coordinator") as caught:
        await worked(database)

    assert len(str(caught.value)) < 500


@pytest.mark.fault("storage: a truncated database")
@pytest.mark.parametrize("left", [50, 4096, 5 * 4096, 10 * 4096 + 100])
async def test_a_truncated_database_is_told_with_what_would_do(database: Path, left: int) -> None:
    os.truncate(database, left)

    with pytest.raises(StoreUnavailable, match=f"{database} is damaged; stop every coordinator and bring back a backup"):
        await worked(database)


@pytest.mark.fault("storage: garbage in place of SQLite's log")
async def test_garbage_in_place_of_the_log_is_nothing_and_the_database_is_as_it_was(database: Path) -> None:
    database.with_name("jobs.db-wal").write_bytes(os.urandom(100_000))
    database.with_name("jobs.db-shm").write_bytes(os.urandom(32_768))

    assert await worked(database) == JOBS + 1


def test_whoever_starts_on_a_damaged_database_is_told_by_an_exit_code(database: Path) -> None:
    overwritten(database, 4096, os.urandom(20 * 4096))

    ended = CliRunner().invoke(app, ["list", "--database", f"sqlite:///{database}"])

    assert (ended.exit_code, ended.stdout) == (Exit.DATABASE, "")
    assert "is damaged; stop every coordinator and bring back a backup" in ended.stderr


# -- taken away while it is open


def removed(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replaced(path: Path) -> None:
    removed(path)
    path.write_bytes(path.with_name("elsewhere").read_bytes())


async def refused(verb: Callable[[], Awaitable[object]], told: str) -> bool:
    try:
        await verb()
    except StoreUnavailable as error:
        return told in str(error)
    return False


@pytest.mark.fault("storage: a file of an open database is removed or replaced")
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("taken_away", [removed, replaced])
async def test_what_is_written_after_a_file_was_taken_away_is_refused_until_it_is_back(
    database: Path, suffix: str, taken_away: Callable[[Path], None]
) -> None:
    """SQLite would take it, and it would be gone with the file."""
    file = database.with_name(database.name + suffix)
    async with SqliteStore(f"sqlite:///{database}") as store:
        session = await register(store)
        taken_away(file)

        told = f"{file} was removed or replaced while it was in use; put it back, or"
        with pytest.raises(StoreUnavailable, match=told):
            await submit(store)
        with pytest.raises(StoreUnavailable, match=told):
            await store.tick(session, [])
        await until(lambda: refused(lambda: store.list(Filter()), told))
        file.with_name("elsewhere").rename(file)

        await submit(store)
        assert (await store.tick(session, [])).number == 1
    assert await worked(database) == JOBS + 2


async def test_closing_a_database_that_was_replaced_leaves_the_log_of_the_new_one_alone(database: Path) -> None:
    """SQLite removes the log that it believes to be the last one's to leave: by its name."""
    async with SqliteStore(f"sqlite:///{database}"):
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).rename(database.with_name(f"old{suffix}"))
        newer = SqliteStore(f"sqlite:///{database}")
        await newer.__aenter__()
        await newer.migrate()
        [job] = await submit(newer)

    assert database.with_name("jobs.db-wal").exists()
    assert await newer.get(job) is not None
    await newer.__aexit__()
    assert await worked(database) == 2


@pytest.mark.fault("storage: the database is away under a running coordinator")
async def test_a_coordinator_whose_database_was_taken_away_gives_up_its_jobs_waits_and_goes_on_when_it_is_back(
    database: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{database}"
    async with Client.open(url) as client:
        with Daemon(tmp_path / "host", url, **HASTY) as daemon:
            nap = await client.submit(Nap(until=tmp_path / "enough"))
            await said(nap, "napping")
            removed(database)
            since = time.monotonic()

            await daemon.says("session is over")
            await until(lambda: daemon.said.count("the database is away   ") >= 4)
            with pytest.raises(StoreUnavailable, match="was removed or replaced"):
                await client.submit(Note(path=tmp_path / "never"))
            tries = daemon.said.count("the database is away   ")
            assert tries < 8 + (time.monotonic() - since)  # it rests between them, longer each time
            database.with_name("elsewhere").rename(database)
            (tmp_path / "enough").touch()

            assert await nap.result(timeout=30) == "rested"
            assert await endings(client, nap) == [Ending.FORFEITED, Ending.SUCCEEDED]
            assert not (tmp_path / "never").exists()


# -- places


@pytest.mark.fault("storage: links in a circle in place of a database")
@pytest.mark.parametrize("name", ["a", "a/jobs.db"])
async def test_links_in_a_circle_are_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(StoreUnavailable, match=f"{tmp_path / name}: too many levels of symbolic links; name another file"):
        await worked(tmp_path / name)


async def test_what_is_no_ordinary_file_is_told_without_opening_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "jobs.db")

    with pytest.raises(StoreUnavailable, match=f"{tmp_path}/jobs.db is not an ordinary file; name another one"):
        await worked(tmp_path / "jobs.db")


@pytest.mark.fault("storage: a folder that may only be read")
async def test_a_database_in_a_folder_that_may_only_be_read_is_told(no_root: Path) -> None:
    path = no_root / "jobs.db"
    async with SqliteStore(f"sqlite:///{path}") as store:
        await store.migrate()
    os.chmod(no_root, 0o500)  # noqa: PTH101 - of a test's own folder

    with pytest.raises(StoreUnavailable, match=f"{path} cannot be .*folder"):
        await worked(path)

    os.chmod(no_root, 0o700)  # noqa: PTH101
    assert await worked(path) == 1


@pytest.mark.fault("storage: no room for another file")
@with_mounts
async def test_a_disk_that_takes_no_more_files_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, size="16m,nr_inodes=20"):
        async with SqliteStore(f"sqlite:///{folder}/jobs.db") as store:
            await store.migrate()
        files = _take_all_files(folder)

        with pytest.raises(StoreUnavailable, match=r"the disk of .*/jobs\.db has no room for another file; remove some"):
            await worked(folder / "jobs.db")
        with pytest.raises(StoreUnavailable, match=r"cannot make .*/other\.db: no space left on device"):
            await worked(folder / "other.db")

        for file in files:
            file.unlink()
        assert await worked(folder / "jobs.db") == 1


@with_mounts
async def test_the_file_system_of_a_folder_is_that_which_is_really_mounted_there(tmp_path: Path) -> None:
    folder = tmp_path / "a \\ and a blank"
    folder.mkdir()
    around = file_system(folder)
    with small_disk(folder, size="1m"):
        (folder / "deep").mkdir()

        assert file_system(folder / "deep") == "tmpfs"
    assert file_system(folder) == around


def _take_all_files(folder: Path) -> list[Path]:
    files = [folder / f"file-{number}" for number in range(30)]
    for number, file in enumerate(files):
        try:
            file.touch()
        except OSError:
            return files[:number]
    raise AssertionError("there is room for all of them")
