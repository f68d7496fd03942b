"""Large files between folders of this host: inside the kernel, over file systems, with holes, and going on after a crash."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.jobs import Copy, Progress
from heavyjobs.jobs.copy import Copied
from heavyjobs.jobs.copy_file import FileCopy
from heavyjobs.jobs.copy_here import Mark
from heavyjobs.jobs.trouble import OutputWrong, SourceChanged, TargetUnusable, Trouble
from heavyjobs.model import new_id
from heavyjobs.testing.inline import Inline, run_inline
from tests.faults.disks import small_disk, with_mounts
from tests.jobs.folders import listing

MIB = 1 << 20
LARGE = os.urandom(9 * MIB + 5)


@pytest.fixture(autouse=True)
def small_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Copy, "interval_bytes", 2 * MIB)


@pytest.fixture
def one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs are attempts of the same job."""
    job = new_id()
    monkeypatch.setattr("heavyjobs.testing.inline.new_id", lambda: job)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "film").write_bytes(LARGE)
    return tmp_path / "film"


def copy(
    source: Path, target: Path, *, checkpoint: Mark | None = None, attempt: int = 1, **how: Any
) -> Inline[Copied, Progress, Trouble]:
    return run_inline(Copy(source=str(source), target=str(target), **how), checkpoint=checkpoint, attempt=attempt)


@pytest.mark.parametrize("verify", ["none", "stream", "readback"])
def test_a_large_file_is_copied_with_its_digest_mode_and_time(tmp_path: Path, film: Path, verify: str) -> None:
    film.chmod(0o440)
    os.utime(film, ns=(0, 1_500_000_000_123_456_789))

    done = copy(film, tmp_path / "copy", verify=verify)

    assert done.error is None, done.error
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert done.result.sha256 == hashlib.sha256(LARGE).hexdigest()
    status = (tmp_path / "copy").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o440, 1_500_000_000_123_456_789)
    assert [Mark.model_validate_json(kept).offset // MIB for kept in done.checkpoints] == [2, 4, 6, 8, 9, 9], (
        "the last says that it is finished"
    )


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, 0])
def test_where_the_kernel_does_not_copy_bytes_are_copied_all_the_same(
    tmp_path: Path, film: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0: some file systems say that they copied nothing."""

    def refuse(*_: Any) -> int:
        if number:
            raise OSError(number, os.strerror(number))
        return 0

    monkeypatch.setattr(os, "copy_file_range", refuse)

    assert copy(film, tmp_path / "copy").error is None
    assert (tmp_path / "copy").read_bytes() == LARGE


def test_holes_stay_holes(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        for at in (0, 33 * MIB, 63 * MIB):
            file.seek(at)
            file.write(LARGE[:MIB])
        file.truncate(80 * MIB)

    done = copy(tmp_path / "sparse", tmp_path / "copy")

    assert done.error is None, done.error
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "sparse").read_bytes()
    assert (tmp_path / "copy").stat().st_blocks * 512 < 4 * MIB


@pytest.mark.usefixtures("one_job")
def test_a_later_attempt_goes_on_after_what_is_on_the_disk(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []
    real = os.copy_file_range

    def fails_late(source: int, target: int, count: int, start: int, _: int) -> int:
        if start >= 6 * MIB:
            raise OSError(errno.EIO, "a bad sector")
        return real(source, target, count, start, start)

    def counts(source: int, target: int, count: int, start: int, _: int) -> int:
        copied.append(start)
        return real(source, target, count, start, start)

    monkeypatch.setattr(os, "copy_file_range", fails_late)
    with pytest.raises(OSError, match="a bad sector"):
        copy(film, tmp_path / "copy")
    (left,) = [path for path in tmp_path.iterdir() if path.name.startswith(".copy.part")]
    monkeypatch.setattr(os, "copy_file_range", counts)
    again = copy(
        film,
        tmp_path / "copy",
        checkpoint=Mark(begun_by=1, name="", version=f"{len(LARGE)}-{film.stat().st_mtime_ns}", offset=4 * MIB),
        attempt=2,
    )

    assert again.error is None, again.error
    assert min(copied) == 4 * MIB
    assert again.result.sha256 == hashlib.sha256(LARGE).hexdigest()
    assert (tmp_path / "copy").read_bytes() == LARGE
    assert not left.exists()


@pytest.mark.usefixtures("one_job")
def test_a_tree_goes_on_and_forgets_what_its_source_holds_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    (tree / "b/read only").mkdir(parents=True)
    for name in ("a", "b/one", "b/read only/two", "c"):
        (tree / name).write_bytes(name.encode() * MIB)
    (tree / "b/read only").chmod(0o555)
    (tree / "z").write_bytes(LARGE)
    real = os.copy_file_range

    def fails(*_: Any) -> int:
        raise OSError(errno.EIO, "a bad sector")

    monkeypatch.setattr(os, "copy_file_range", fails)
    with pytest.raises(OSError, match="a bad sector"):
        copy(tree, tmp_path / "copy")
    monkeypatch.setattr(os, "copy_file_range", real)
    (tree / "a").unlink()
    (tree / "b/one").write_bytes(b"other")
    (tree / "a").mkdir()
    (tree / "a/deeper").write_text("x")
    again = copy(tree, tmp_path / "copy", checkpoint=Mark(begun_by=1, members=5), attempt=2)

    assert again.error is None, again.error
    assert listing(tmp_path / "copy") == listing(tree)
    assert again.result.sha256 == copy(tree, tmp_path / "fresh").result.sha256


def test_what_is_on_the_disk_otherwise_than_it_was_read_does_not_appear(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FileCopy._check

    def spoils(self: FileCopy, interval: Any) -> None:
        os.pwrite(self._target, b"x", interval.start)
        real(self, interval)

    monkeypatch.setattr(FileCopy, "_check", spoils)

    done = copy(film, tmp_path / "copy")

    assert isinstance(done.error, OutputWrong)
    assert done.retry
    assert listing(tmp_path).keys() == {"film"}


def test_a_source_that_changes_meanwhile_is_found_out(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FileCopy._copy

    def grows(self: FileCopy, interval: Any) -> None:
        real(self, interval)
        with film.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(FileCopy, "_copy", grows)

    done = copy(film, tmp_path / "copy")

    assert isinstance(done.error, SourceChanged)
    assert done.retry
    assert listing(tmp_path).keys() == {"film"}


@pytest.mark.fault("storage: disk full amid a copy on this host")
@with_mounts
async def test_a_copy_without_room_is_a_typed_error_and_gives_the_room_back(tmp_path: Path, film: Path) -> None:
    (tmp_path / "disk").mkdir()

    with small_disk(tmp_path / "disk", size="6m"):
        done = copy(film, tmp_path / "disk/copy")
        left = listing(tmp_path / "disk")
        os.truncate(film, 5 * MIB)
        smaller = copy(film, tmp_path / "disk/copy").result  # also: from one file system to another

    assert isinstance(done.error, TargetUnusable)
    assert "no room" in done.error.what
    assert smaller.sha256 == hashlib.sha256(LARGE[: 5 * MIB]).hexdigest()
    assert left == {}
