"""A disk that becomes full amid chunks: nothing is half there, and with room the next attempt goes on."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from heavyjobs.jobs import Split
from tests.faults.disks import small_disk, with_mounts
from tests.jobs.chunking import MEBIBYTE, join, noise, sha256sum, split, stored, verify
from tests.jobs.folders import listing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


@pytest.mark.fault("storage: disk full amid a split into chunks")
@with_mounts
async def test_a_split_on_a_full_disk_leaves_whole_chunks_and_stores_only_the_rest_when_there_is_room(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Split, "interval_bytes", MEBIBYTE)
    (tmp_path / "film").write_bytes(noise(8 * MEBIBYTE))

    with small_disk(folder, size="16m"):
        (folder / "ballast").write_bytes(bytes(12 * MEBIBYTE))
        with pytest.raises(OSError, match="No space left") as full:
            split(tmp_path / "film", folder)
        left = [path for path in stored(folder) if path.name != "list"]
        damaged = [path for path in left if sha256sum(path) != path.name]
        published = (folder / "manifest").exists()
        (folder / "ballast").unlink()
        again = split(tmp_path / "film", folder).result
        verified = verify(folder).result

    assert full.value.errno == errno.ENOSPC
    assert not damaged
    assert not published
    assert len(left) > 10
    assert again.new_chunks == again.chunks - len(left)
    assert verified.bytes == 8 * MEBIBYTE


@pytest.mark.fault("storage: disk full amid a join of chunks")
@with_mounts
async def test_a_join_that_runs_out_of_room_leaves_nothing(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film").write_bytes(noise(8 * MEBIBYTE))
    split(tmp_path / "film", tmp_path)
    monkeypatch.setattr("heavyjobs.jobs.chunks.join._Joining._check_room", lambda *_: None)  # as if it went meanwhile

    with small_disk(folder, size="4m"):
        with pytest.raises(OSError, match="No space left"):
            join(tmp_path, folder / "again")
        left = listing(folder)

    assert left == {}
