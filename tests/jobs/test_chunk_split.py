"""What a split stores is looked at with the programs of the system, not with our own reader."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from heavyjobs.jobs import Split
from heavyjobs.jobs.chunks.cutting import Method, algorithm_for
from heavyjobs.jobs.chunks.source import opened_source
from heavyjobs.jobs.chunks.splitting import Mark
from heavyjobs.jobs.chunks.store import NewChunks
from heavyjobs.jobs.chunks.unfinished import unfinished
from heavyjobs.jobs.trouble import (
    NotInstalled,
    Refused,
    SourceChanged,
    SourceMissing,
    Stopped,
    TargetTaken,
    TargetUnusable,
)
from heavyjobs.locations import Locations
from heavyjobs.model import ClaimKey, new_id
from heavyjobs.shielding import Shield
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
)
from tests.jobs.folders import listing
from tests.jobs.interrupting import interrupt

METHODS: list[Method] = ["fastcdc", "fixed"]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film"
    path.write_bytes(noise(4 * MEBIBYTE + 123))
    return path


@pytest.mark.parametrize("method", METHODS)
def test_chunks_bear_their_digests_and_make_the_file_in_the_order_of_the_manifest(
    tmp_path: Path, film: Path, method: Method
) -> None:
    result = split(film, tmp_path, method=method).result

    digests = [entry["sha256"] for entry in entries(tmp_path / "manifest")]
    listed = "".join(f"{digest}  {chunk_path(tmp_path, digest)}\n" for digest in digests)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet"], input=listed, text=True, check=True)
    whole = subprocess.run(["cat", *(chunk_path(tmp_path, digest) for digest in digests)], capture_output=True, check=True)
    assert whole.stdout == film.read_bytes()
    assert (result.bytes, result.chunks) == (film.stat().st_size, len(digests))
    assert (result.new_bytes, result.new_chunks) == (result.bytes, len(stored(tmp_path)))
    assert result.sha256 == sha256sum(tmp_path / "manifest")
    assert json.loads((tmp_path / "manifest").read_text().splitlines()[0])["algorithm"] == result.algorithm.model_dump()


def test_equal_chunks_are_stored_once(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(MEBIBYTE))

    result = split(tmp_path / "zeros", tmp_path, method="fixed").result

    assert (result.chunks, result.new_chunks, result.new_bytes) == (16, 1, 64 << 10)
    assert len(stored(tmp_path)) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_rerun_stores_nothing_and_gives_the_same_manifest(tmp_path: Path, film: Path, method: Method) -> None:
    first = split(film, tmp_path, method=method).result
    before = {path: path.stat().st_ino for path in stored(tmp_path)}

    again = split(film, tmp_path, method=method, name="again").result

    assert (again.new_chunks, again.new_bytes) == (0, 0)
    assert again.sha256 == first.sha256 == sha256sum(tmp_path / "again")
    assert {path: path.stat().st_ino for path in stored(tmp_path)} == before


@pytest.mark.parametrize("method", METHODS)
def test_of_a_file_that_grew_only_what_is_new_is_stored(tmp_path: Path, film: Path, method: Method) -> None:
    first = split(film, tmp_path, method=method).result
    with film.open("ab") as file:
        file.write(noise(MEBIBYTE, seed=1))

    grown = split(film, tmp_path, method=method, name="grown").result

    assert grown.bytes == first.bytes + MEBIBYTE
    assert MEBIBYTE <= grown.new_bytes <= MEBIBYTE + (256 << 10)
    assert sum(path.stat().st_size for path in stored(tmp_path)) == first.bytes + grown.new_bytes


def test_of_a_file_with_something_before_it_fastcdc_stores_little_and_fixed_stores_all(tmp_path: Path, film: Path) -> None:
    anew = {}
    for method in METHODS:
        folder = tmp_path / method
        folder.mkdir()
        split(film, folder, method=method)
        (tmp_path / "later").write_bytes(b"before it" + film.read_bytes())
        anew[method] = split(tmp_path / "later", folder, method=method, name="later").result.new_bytes

    assert anew["fastcdc"] < 512 << 10
    assert anew["fixed"] > film.stat().st_size - (64 << 10)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_file_has_no_chunks(tmp_path: Path, method: Method) -> None:
    (tmp_path / "empty").touch()

    assert split(tmp_path / "empty", tmp_path, method=method).result.chunks == 0
    assert stored(tmp_path) == []
    assert entries(tmp_path / "manifest") == []


def test_nothing_hidden_stays_and_the_source_is_not_touched(tmp_path: Path, film: Path) -> None:
    before = film.stat()

    split(film, tmp_path)

    assert not [name for name in listing(tmp_path) if "/." in name or name.startswith(".")]
    assert (film.stat().st_mtime_ns, film.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_chunk_of_another_size_is_replaced(tmp_path: Path, film: Path) -> None:
    split(film, tmp_path)
    victim = stored(tmp_path)[0]
    victim.write_bytes(b"cut off")

    assert split(film, tmp_path, overwrite=True).result.new_chunks == 1
    assert sha256sum(victim) == victim.name


def test_a_damaged_chunk_is_replaced_when_asked_to_compare(tmp_path: Path, film: Path) -> None:
    split(film, tmp_path)
    victim = stored(tmp_path)[0]
    victim.write_bytes(bytes(victim.stat().st_size))

    assert split(film, tmp_path, overwrite=True).result.new_chunks == 0
    assert split(film, tmp_path, overwrite=True, compare=True).result.new_chunks == 1
    assert sha256sum(victim) == victim.name


def test_two_files_share_a_folder_of_chunks(tmp_path: Path, film: Path) -> None:
    (tmp_path / "longer").write_bytes(film.read_bytes() + noise(MEBIBYTE, seed=2))
    split(film, tmp_path, name="one")

    assert split(tmp_path / "longer", tmp_path, name="two").result.new_bytes < 2 * MEBIBYTE


def test_the_status_counts_bytes_to_the_end_and_checkpoints_are_kept(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Split, "interval_bytes", MEBIBYTE)

    done = split(film, tmp_path)

    assert (done.statuses[-1].phase, done.statuses[-1].done) == ("splitting", film.stat().st_size)
    offsets = [json.loads(kept)["offset"] for kept in done.checkpoints]
    assert 4 <= len(offsets) <= 6
    assert offsets == sorted(offsets)
    assert offsets[-1] == film.stat().st_size


def test_known_chunks_make_fewer_checkpoints(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Split, "interval_bytes", MEBIBYTE // 2)
    first = split(film, tmp_path)

    assert len(split(film, tmp_path, name="again").checkpoints) <= len(first.checkpoints) // 2


@pytest.mark.parametrize("change", ["append", "truncate", "rewrite"])
def test_a_source_that_changes_while_it_is_read_is_told_and_tried_again(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    settle = NewChunks.settle

    def settle_and_change(self: NewChunks) -> None:
        settle(self)
        with film.open("r+b") as file:
            if change == "truncate":
                file.truncate(2 * MEBIBYTE)
            else:
                file.seek(0, os.SEEK_END if change == "append" else os.SEEK_SET)
                file.write(b"changed")

    monkeypatch.setattr(Split, "interval_bytes", MEBIBYTE)
    monkeypatch.setattr(NewChunks, "settle", settle_and_change)

    done = split(film, tmp_path)

    assert isinstance(done.error, SourceChanged)
    assert done.retry
    assert not (tmp_path / "manifest").exists()


def test_a_file_that_grows_for_ever_gives_no_more_than_it_had(film: Path) -> None:
    with opened_source(film, where="film") as source:
        buffer, read = memoryview(bytearray(100_000)), 0
        while got := source.readinto(buffer):
            read += got
            with film.open("ab") as file:
                file.write(noise(200_000))
        with pytest.raises(Stopped):
            source.check()

    assert read == 4 * MEBIBYTE + 123


def test_bad_places_are_typed_errors_that_are_not_tried_again(tmp_path: Path, film: Path) -> None:
    (tmp_path / "taken").write_text("old")
    (tmp_path / "folder").mkdir()
    cases: list[tuple[Path, Path, Path, type]] = [
        (tmp_path / "no", tmp_path / "m", tmp_path / "c", SourceMissing),
        (tmp_path / "folder", tmp_path / "m", tmp_path / "c", SourceMissing),
        (film, tmp_path / "taken", tmp_path / "c", TargetTaken),
        (film, tmp_path / "m", tmp_path / "taken", TargetTaken),
        (film, tmp_path / "no" / "m", tmp_path / "c", TargetUnusable),
        (film, tmp_path / ("n" * 256), tmp_path / "c", TargetUnusable),
        (film, tmp_path / "m", tmp_path / "no" / "c", TargetUnusable),
    ]

    for source, target, chunks, expected in cases:
        job = Split(source=str(source), target=str(target), chunks=str(chunks), method="fixed")
        error, retry = failed_without_trace(tmp_path, lambda: run_inline(job))  # noqa: B023 - called at once
        assert isinstance(error, expected), (source, target, chunks)
        assert not retry


def test_overwriting_never_destroys_the_source(tmp_path: Path, film: Path) -> None:
    job = Split(source=str(film), target=str(film), chunks=str(tmp_path / "chunks"), overwrite=True)

    error, retry = failed_without_trace(tmp_path, lambda: run_inline(job))

    assert isinstance(error, Refused)
    assert not retry


def test_between_locations_and_nowhere_else(tmp_path: Path, film: Path) -> None:
    (tmp_path / "backup").mkdir()
    fleet = Locations({"films": str(film.parent), "backup": f"file://{tmp_path}/backup"}, plain=False)

    good = run_inline(Split(source="films:film", target="backup:film.chunks", chunks="backup:chunks"), locations=fleet)
    bad = run_inline(Split(source="films:film", target="backup:other", chunks=str(tmp_path / "chunks")), locations=fleet)

    assert good.result.path == str(tmp_path / "backup/film.chunks")
    assert isinstance(bad.error, Refused)
    assert not (tmp_path / "chunks").exists()


def test_a_symlink_in_the_folder_of_chunks_leads_nothing_out(tmp_path: Path, film: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "chunks").mkdir()
    for number in range(256):
        (tmp_path / "chunks" / f"{number:02x}").symlink_to(tmp_path / "outside")

    error, retry = failed_without_trace(tmp_path, lambda: split(film, tmp_path))

    assert isinstance(error, Refused)
    assert not retry


def test_a_symlink_in_place_of_a_chunk_is_replaced_and_what_it_names_left_alone(tmp_path: Path, film: Path) -> None:
    split(film, tmp_path)
    victim = stored(tmp_path)[0]
    (tmp_path / "precious").write_bytes(victim.read_bytes())
    victim.unlink()
    victim.symlink_to(tmp_path / "precious")

    assert split(film, tmp_path, name="again").result.new_chunks == 1
    assert not victim.is_symlink()
    assert sha256sum(tmp_path / "precious") == sha256sum(victim) == victim.name


def test_a_folder_in_place_of_a_chunk_is_told(tmp_path: Path, film: Path) -> None:
    split(film, tmp_path)
    victim = stored(tmp_path)[0]
    victim.unlink()
    victim.mkdir()

    error, retry = failed_without_trace(tmp_path, lambda: split(film, tmp_path, name="again"))

    assert isinstance(error, TargetTaken)
    assert not retry


def test_more_chunks_than_a_manifest_may_name_are_refused(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heavyjobs.jobs.chunks.splitting.CHUNKS_MAX", 10)

    error = split(film, tmp_path).error

    assert isinstance(error, Refused)
    assert "larger chunk_bytes" in error.would_do
    assert not [path for path in (tmp_path / "chunks").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("method", METHODS)
def test_a_file_with_far_too_many_chunks_is_refused_before_it_is_read(tmp_path: Path, method: Method) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)

    done = split(tmp_path / "sparse", tmp_path, method=method, chunk_bytes=4096)

    assert isinstance(done.error, Refused)
    assert not done.retry
    assert stored(tmp_path) == []


def test_without_the_package_for_fastcdc_the_error_names_it_and_fixed_works(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyfastcdc", None)

    done = split(film, tmp_path)

    assert isinstance(done.error, NotInstalled)
    assert "heavyjobs[chunks]" in done.error.would_do
    assert done.retry
    assert split(film, tmp_path, method="fixed").result.chunks == 65


@pytest.mark.parametrize("size", [0, 1023, (4 << 20) + 1])
def test_sizes_out_of_bounds_are_refused_when_submitted(size: int) -> None:
    with pytest.raises(ValueError, match="chunk_bytes"):
        Split(source="/a", target="/b", chunks="/c", chunk_bytes=size)


@pytest.mark.parametrize("lack", ["its list is gone", "the source is another", "it was cut otherwise"])
def test_a_checkpoint_that_does_not_hold_any_more_is_not_gone_on_from(tmp_path: Path, film: Path, lack: str) -> None:
    with opened_source(film, where="film") as source:
        identity = source.identity
    if lack == "the source is another":
        identity.mtime_ns += 1
    how = algorithm_for("fixed", 4096 if lack == "it was cut otherwise" else 64 << 10)
    mark = Mark(claim=1, source=identity, algorithm=how, offset=MEBIBYTE, chunks=16, list_bytes=1000)
    job = Split(
        source=str(film),
        target=str(tmp_path / "manifest"),
        chunks=str(tmp_path / "chunks"),
        method="fixed",
        chunk_bytes=64 << 10,
    )

    result = run_inline(job, checkpoint=mark, attempt=2).result

    assert result.bytes == result.new_bytes == film.stat().st_size
    assert join(tmp_path, tmp_path / "again").result.sha256 == sha256sum(film)


def test_a_request_to_stop_at_any_line_leaves_at_most_the_list(tmp_path: Path) -> None:
    def work(shield: Shield) -> None:
        with unfinished(store, ClaimKey(new_id(), 1), shield=shield) as kept:
            for number in range(2):
                (kept.folder / f"{number}").symlink_to("what stands for a chunk, made by a single call")
                kept.list.write(b"line\n")

    stopped, line = True, 0
    while stopped:
        store = tmp_path / f"{line}"
        store.mkdir()
        stopped = interrupt(work, at_line=line)
        assert {path.name for path in store.glob("*/*")} <= {"list"}
        line += 1

    assert line > 20
    assert listing(store) == {}
