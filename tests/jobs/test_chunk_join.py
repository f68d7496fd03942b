"""Files put together again, and chunks that are not what a manifest says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from heavyjobs.jobs import Join, VerifyChunks
from heavyjobs.jobs.chunks.cutting import Method
from heavyjobs.jobs.chunks.store import ChunkStore
from heavyjobs.jobs.trouble import (
    ChunksUnsound,
    Refused,
    SourceChanged,
    SourceMissing,
    TargetTaken,
    TargetUnusable,
    Unreadable,
)
from heavyjobs.locations import Locations
from heavyjobs.testing.inline import run_inline
from tests.jobs.chunking import (
    MEBIBYTE,
    chunk_path,
    entries,
    failed_without_trace,
    join,
    noise,
    sha256sum,
    split,
    stored,
    verify,
    write_manifest,
)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A file and, in the folder beside it, its chunks and manifest."""
    path = tmp_path / "film"
    path.write_bytes(noise(4 * MEBIBYTE + 123))
    split(path, tmp_path)
    return path


def _cut_off(chunk: Path) -> None:
    os.truncate(chunk, 100)


def _flip(chunk: Path) -> None:
    data = bytearray(chunk.read_bytes())
    data[50] ^= 1
    chunk.write_bytes(data)


def _link(chunk: Path) -> None:
    chunk.rename(chunk.with_name("elsewhere"))
    chunk.symlink_to("elsewhere")


def _fifo(chunk: Path) -> None:
    chunk.unlink()
    os.mkfifo(chunk)


def _folder(chunk: Path) -> None:
    chunk.unlink()
    chunk.mkdir()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut off": _cut_off,
    "a bit flipped": _flip,
    "a symlink": _link,
    "a FIFO": _fifo,
    "a folder": _folder,
}


@pytest.mark.parametrize("method", ["fastcdc", "fixed"])
@pytest.mark.parametrize("size", [0, 1, 64 << 10, 3 * MEBIBYTE + 5])
def test_what_is_joined_is_what_was_split(tmp_path: Path, method: Method, size: int) -> None:
    (tmp_path / "film").write_bytes(noise(size))
    split(tmp_path / "film", tmp_path, method=method)

    result = join(tmp_path, tmp_path / "again").result

    assert result.sha256 == sha256sum(tmp_path / "again") == sha256sum(tmp_path / "film")
    assert result.bytes == size


def test_equal_chunks_come_as_often_as_the_manifest_says(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(MEBIBYTE))
    split(tmp_path / "zeros", tmp_path, method="fixed")

    join(tmp_path, tmp_path / "again")

    assert (tmp_path / "again").read_bytes() == bytes(MEBIBYTE)


def test_verify_says_what_it_looked_at_and_changes_nothing(tmp_path: Path, film: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in stored(tmp_path)}

    done = verify(tmp_path)

    assert (done.result.bytes, done.result.chunks) == (film.stat().st_size, len(entries(tmp_path / "manifest")))
    assert {path: path.stat().st_mtime_ns for path in stored(tmp_path)} == before
    assert [status.phase for status in done.statuses][-1] == "verifying"


@pytest.mark.usefixtures("film")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_chunk_is_named_and_nothing_appears(tmp_path: Path, damage: str) -> None:
    victim = chunk_path(tmp_path, entries(tmp_path / "manifest")[3]["sha256"])
    DAMAGES[damage](victim)

    joined, joining_retried = failed_without_trace(tmp_path, lambda: join(tmp_path, tmp_path / "again"))
    verified, verifying_retried = failed_without_trace(tmp_path, lambda: verify(tmp_path))

    for error in (joined, verified):
        assert isinstance(error, ChunksUnsound)
        assert (error.damaged_chunks, error.damaged, error.missing_chunks) == (1, [victim.name], 0)
        assert "line 5" in error.what
        assert victim.name in error.what
    assert not joining_retried
    assert not verifying_retried


@pytest.mark.usefixtures("film")
def test_verify_names_all_that_are_missing_or_damaged(tmp_path: Path) -> None:
    named = [chunk_path(tmp_path, entry["sha256"]) for entry in entries(tmp_path / "manifest")]
    for path in named[5:8]:
        path.unlink()
    for path in named[10:12]:
        _flip(path)

    error = verify(tmp_path).error

    assert isinstance(error, ChunksUnsound)
    assert error.missing == [path.name for path in named[5:8]]
    assert error.damaged == [path.name for path in named[10:12]]
    assert "in all 3 are missing and 2 damaged" in error.what


def test_of_very_many_the_first_hundred_are_named_and_all_counted(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(noise(MEBIBYTE))
    split(tmp_path / "film", tmp_path, method="fixed", chunk_bytes=1024)
    shutil.rmtree(tmp_path / "chunks")
    (tmp_path / "chunks").mkdir()

    error = verify(tmp_path).error

    assert isinstance(error, ChunksUnsound)
    assert (error.missing_chunks, len(error.missing)) == (1024, 100)


def test_splitting_again_with_compare_repairs_what_verify_found(tmp_path: Path, film: Path) -> None:
    victims = stored(tmp_path)[:4]
    for victim, damage in zip(victims, (_cut_off, _flip, _link, _fifo), strict=True):
        damage(victim)
    assert isinstance(verify(tmp_path).error, ChunksUnsound)

    assert split(film, tmp_path, name="again", compare=True).result.new_chunks == 4

    assert verify(tmp_path).error is None


@pytest.mark.usefixtures("film")
def test_a_size_that_lies_is_a_damaged_chunk(tmp_path: Path) -> None:
    first = entries(tmp_path / "manifest")[0]
    write_manifest(tmp_path / "liar", [{**first, "bytes": first["bytes"] - 1}])

    error = join(tmp_path, tmp_path / "again", name="liar").error

    assert isinstance(error, ChunksUnsound)
    assert not (tmp_path / "again").exists()


@pytest.mark.usefixtures("film")
def test_a_small_manifest_of_a_file_larger_than_the_disk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    size = 16 << 20
    count = shutil.disk_usage(tmp_path).free // size + 1000
    chunks = [{"offset": number * size, "bytes": size, "sha256": "0" * 64} for number in range(count)]
    write_manifest(tmp_path / "bomb", chunks)

    error, retry = failed_without_trace(tmp_path, lambda: join(tmp_path, tmp_path / "again", name="bomb"))

    assert isinstance(error, TargetUnusable)
    assert "are to be written" in error.what
    assert not retry


@pytest.mark.usefixtures("film")
def test_more_than_was_allowed_is_refused(tmp_path: Path) -> None:
    job = Join(
        source=str(tmp_path / "manifest"),
        chunks=str(tmp_path / "chunks"),
        target=str(tmp_path / "again"),
        max_bytes=4 * MEBIBYTE,
    )

    error, retry = failed_without_trace(tmp_path, lambda: run_inline(job))

    assert isinstance(error, Refused)
    assert not retry


def test_bad_places_are_typed_errors_that_are_not_tried_again(tmp_path: Path, film: Path) -> None:
    (tmp_path / "taken").write_text("old")
    (tmp_path / "folder").mkdir()
    manifest, chunks = tmp_path / "manifest", tmp_path / "chunks"
    cases: list[tuple[Path, Path, Path, type]] = [
        (tmp_path / "no", chunks, tmp_path / "x", SourceMissing),
        (chunks, chunks, tmp_path / "x", SourceMissing),
        (manifest, tmp_path / "no", tmp_path / "x", SourceMissing),
        (manifest, film, tmp_path / "x", SourceMissing),
        (film, chunks, tmp_path / "x", Unreadable),
        (manifest, chunks, tmp_path / "taken", TargetTaken),
        (manifest, chunks, tmp_path / "no" / "x", TargetUnusable),
        (manifest, chunks, tmp_path / ("n" * 256), TargetUnusable),
    ]

    for source, folder, target, expected in cases:
        job = Join(source=str(source), chunks=str(folder), target=str(target))
        error, retry = failed_without_trace(tmp_path, lambda: run_inline(job))  # noqa: B023 - called at once
        assert isinstance(error, expected), (source, folder, target)
        assert not retry


@pytest.mark.usefixtures("film")
def test_overwriting_never_destroys_the_manifest(tmp_path: Path) -> None:
    error, _ = failed_without_trace(tmp_path, lambda: join(tmp_path, tmp_path / "manifest", overwrite=True))

    assert isinstance(error, Refused)


def test_overwrite_replaces_a_file(tmp_path: Path, film: Path) -> None:
    (tmp_path / "old").write_text("old")

    join(tmp_path, tmp_path / "old", overwrite=True)

    assert sha256sum(tmp_path / "old") == sha256sum(film)


@pytest.mark.usefixtures("film")
@pytest.mark.parametrize("job", ["join", "verify"])
def test_symlinks_in_the_folder_of_chunks_are_not_followed(tmp_path: Path, job: str) -> None:
    (tmp_path / "chunks").rename(tmp_path / "real")
    (tmp_path / "chunks").mkdir()
    for folder in (tmp_path / "real").iterdir():
        (tmp_path / "chunks" / folder.name).symlink_to(folder)

    error = join(tmp_path, tmp_path / "again").error if job == "join" else verify(tmp_path).error

    assert isinstance(error, Refused)
    assert "is no folder" in error.what


def test_between_locations_and_nowhere_else(tmp_path: Path, film: Path) -> None:
    fleet = Locations({"backup": str(tmp_path)}, plain=False)

    good = run_inline(Join(source="backup:manifest", chunks="backup:chunks", target="backup:again"), locations=fleet)
    bad = run_inline(VerifyChunks(source="backup:manifest", chunks=str(tmp_path / "chunks")), locations=fleet)

    assert good.result.sha256 == sha256sum(film)
    assert isinstance(bad.error, Refused)


@pytest.mark.usefixtures("film")
def test_a_manifest_that_changes_meanwhile_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ChunkStore.read

    def read_and_change(self: ChunkStore, sha256: str, size: int) -> bytes | str:
        with (tmp_path / "manifest").open("ab") as file:
            file.write(b"\n")
        return read(self, sha256, size)

    monkeypatch.setattr(ChunkStore, "read", read_and_change)

    for done in (join(tmp_path, tmp_path / "again"), verify(tmp_path)):
        assert isinstance(done.error, SourceChanged | Unreadable)
    assert not (tmp_path / "again").exists()


@pytest.mark.usefixtures("film")
def test_a_chunk_that_comes_again_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zeros").write_bytes(bytes(MEBIBYTE))
    split(tmp_path / "zeros", tmp_path, method="fixed", name="zeros.chunks")
    read, reads = ChunkStore.read, list[str]()

    def counted(self: ChunkStore, sha256: str, size: int) -> bytes | str:
        reads.append(sha256)
        return read(self, sha256, size)

    monkeypatch.setattr(ChunkStore, "read", counted)

    assert verify(tmp_path, name="zeros.chunks").result.chunks == 16
    assert len(reads) == 1


@pytest.mark.usefixtures("film")
def test_progress_and_checkpoints_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Join, "interval_bytes", MEBIBYTE)
    monkeypatch.setattr(VerifyChunks, "interval_bytes", MEBIBYTE)

    joined, verified = join(tmp_path, tmp_path / "again"), verify(tmp_path)

    assert list(dict.fromkeys(status.phase for status in joined.statuses)) == ["reading the manifest", "joining", "digesting"]
    assert len(joined.checkpoints) in {3, 4}
    assert len(verified.checkpoints) in {3, 4}
