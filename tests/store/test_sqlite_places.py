"""Where a SQLite store may live, and what people are told when it may not."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

from heavyjobs.errors import ConfigurationError, StoreUnavailable, UsageError
from heavyjobs.store.records import Topic
from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.store.sqlite.addresses import database_path, file_system, file_system_of, is_network, prepare
from heavyjobs.store.sqlite.connecting import LOG_MAX_BYTES, connect, library_fits
from heavyjobs.testing.contract.harness import register, submit

MOUNTS = """\
22 1 253:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /mnt/share rw - nfs4 server:/export rw,vers=4.2
31 30 253:1 / /mnt/share/local rw shared:7 - xfs /dev/vdb rw
32 22 0:41 / /mnt/with\\040blank rw - cifs //server/share rw
"""


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/jobs.db", Path("/var/lib/jobs.db")),
        ("sqlite:///jobs.db", Path("jobs.db").resolve()),
        ("sqlite:///data/my%20jobs.db", Path("data/my jobs.db").resolve()),
    ],
)
def test_a_url_names_a_file_relative_or_absolute(url: str, path: Path) -> None:
    assert database_path(url) == path


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:",
        "sqlite:///:memory:",
        "sqlite://:memory:",
        "sqlite://jobs.db",
        "sqlite:///jobs.db?mode=ro",
    ],
)
def test_a_url_that_names_no_file_is_refused_with_the_forms_that_would_do(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sqlite:///relative\.db"):
        SqliteStore(url)


async def test_a_system_that_cannot_reserve_room_for_the_log_ticks_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")

    async with SqliteStore(f"sqlite:///{tmp_path}/jobs.db") as store:
        await store.migrate()
        session = await register(store)
        statements = list[str]()
        store._writer._connection.set_trace_callback(statements.append)

        assert (await store.tick(session, ())).number == 1

    assert "BEGIN IMMEDIATE" not in statements


async def test_a_log_that_found_no_room_is_left_alone_for_a_while_and_then_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqliteStore(f"sqlite:///{tmp_path}/jobs.db") as store:
        await store.migrate()
        session = await register(store)
        statements = list[str]()
        store._writer._connection.set_trace_callback(statements.append)

        with monkeypatch.context() as full:
            full.setattr(os, "posix_fallocate", _no_room)
            for _ in range(3):
                await store.tick(session, ())
        tries = statements.count("BEGIN IMMEDIATE")
        short = (tmp_path / "jobs.db-wal").stat().st_size
        store._writer._reserve_at = 0.0  # a while has passed
        await store.tick(session, ())

        assert tries == 1
        assert short < LOG_MAX_BYTES == (tmp_path / "jobs.db-wal").stat().st_size


async def test_the_database_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    async with SqliteStore(f"sqlite:///{tmp_path}/jobs.db") as store:
        await store.migrate()
        modes = _modes(tmp_path)

    assert modes == {"jobs.db": 0o600, "jobs.db-wal": 0o600, "jobs.db-shm": 0o600}


async def test_a_link_to_a_database_and_the_database_are_one(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "jobs.db")
    async with SqliteStore(f"sqlite:///{tmp_path}/link.db") as store, SqliteStore(f"sqlite:///{tmp_path}/jobs.db") as same:
        await store.migrate()
        [job] = await submit(store)

        assert await same.get(job) is not None


@pytest.mark.parametrize("name", ["a b.db", "what?.db", "mode=ro?mode=ro#1.db", "50%25.db", "ä.db", "&amp;'\";.db"])
async def test_a_database_may_have_any_name(tmp_path: Path, name: str) -> None:
    async with SqliteStore(f"sqlite:///{quote(os.fsencode(tmp_path / name))}") as store:
        await store.migrate()
        await submit(store)

        assert _modes(tmp_path).keys() == {name, f"{name}-wal", f"{name}-shm"}


async def test_a_path_that_begins_with_two_slashes_names_no_other_host(tmp_path: Path) -> None:
    path = Path(f"/{tmp_path}/jobs.db")
    prepare(path, where="here")

    connect(path).close()

    assert _modes(tmp_path).keys() == {"jobs.db"}


def test_connecting_makes_no_database_in_the_place_of_one_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        connect(tmp_path / "jobs.db")

    assert _modes(tmp_path) == {}


@pytest.mark.fault("storage: no folder for the database")
async def test_a_missing_folder_is_not_made_and_the_command_that_makes_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=f"mkdir -p {tmp_path}/absent"):
        await SqliteStore(f"sqlite:///{tmp_path}/absent/jobs.db").__aenter__()

    assert _modes(tmp_path) == {}


@pytest.mark.fault("storage: a folder in place of a database")
async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is a folder; name a file in it"):
        await SqliteStore(f"sqlite:///{tmp_path}").__aenter__()


async def test_a_place_where_nothing_can_be_written_is_refused() -> None:
    folder = f"/proc/{os.getpid()}"

    with pytest.raises(StoreUnavailable, match=rf"cannot make {folder}/jobs\.db: .*; let this user write in {folder}"):
        await SqliteStore(f"sqlite:///{folder}/jobs.db").__aenter__()


@pytest.mark.fault("storage: a database that may only be read, SQLite")
async def test_a_database_that_may_only_be_read_is_refused(no_root: Path) -> None:
    path = no_root / "jobs.db"
    async with SqliteStore(f"sqlite:///{path}") as store:
        await store.migrate()
    path.chmod(0o400)

    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await SqliteStore(f"sqlite:///{path}").__aenter__()


@pytest.mark.fault("storage: a file that is no database")
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_text("dear diary, " * 1000)

    with pytest.raises(StoreUnavailable, match=f"{path} is not a SQLite database"):
        await SqliteStore(f"sqlite:///{path}").__aenter__()

    assert path.read_text() == "dear diary, " * 1000


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/mnt", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deep/er", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/share/local/x", "xfs"),
        ("/mnt/with blank/x", "cifs"),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount_above(folder: str, kind: str) -> None:
    assert file_system_of(folder, MOUNTS) == kind


def test_network_file_systems_are_told_from_local_ones(tmp_path: Path) -> None:
    assert all(is_network(kind) for kind in ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "ceph"))
    assert not any(is_network(kind) for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs"))
    assert not is_network(file_system(tmp_path) or "")


@pytest.mark.fault("storage: SQLite on a network file system")
async def test_a_network_file_system_is_refused_with_what_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 22 0:40 / {tmp_path} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr("heavyjobs.store.sqlite.addresses._MOUNTS", mounts)

    with pytest.raises(StoreUnavailable, match=r"network file system \(nfs4\).*local disk, or use postgresql"):
        await SqliteStore(f"sqlite:///{tmp_path}/jobs.db").__aenter__()


@pytest.mark.parametrize(("version", "fits"), [((3, 36, 9), False), ((3, 37, 0), True), ((4, 0, 0), True)])
def test_a_library_that_is_too_old_is_refused(version: tuple[int, int, int], *, fits: bool) -> None:
    assert library_fits(version) is fits


async def test_a_store_that_is_not_entered_says_so(tmp_path: Path) -> None:
    store = SqliteStore(f"sqlite:///{tmp_path}/jobs.db")
    with pytest.raises(UsageError, match="enter it"):
        await submit(store)
    async with store:
        await store.migrate()
        await submit(store)

    with pytest.raises(UsageError, match="enter it"):
        await submit(store)


async def test_leaving_a_store_leaves_no_thread_and_no_open_file(tmp_path: Path) -> None:
    async with SqliteStore(f"sqlite:///{tmp_path}/jobs.db") as store:
        await store.migrate()
        async with store.wakeups([Topic.READY]):
            await submit(store)
            assert _open_files(tmp_path)

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("heavyjobs-sqlite")]
    assert not _open_files(tmp_path)


def _modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def _open_files(folder: Path) -> list[str]:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [target for link in links if (target := _target(link)).startswith(str(folder))]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the descriptor of the listing itself
        return ""


def _no_room(descriptor: int, offset: int, length: int, /) -> None:
    """What the system says of a disk that is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
