"""Archives are compared with what tar, unzip and zstd of the system say, not with our own reader."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from heavyjobs.jobs import Pack
from heavyjobs.jobs.trouble import Refused
from heavyjobs.testing.inline import run_inline
from tests.jobs.archives import FORMATS, convert, pack, photos, refused_without_trace, unpacked
from tests.jobs.folders import listing

__all__ = ["photos"]


@pytest.mark.parametrize("form", FORMATS)
def test_what_the_system_unpacks_is_what_was_packed(tmp_path: Path, photos: Path, form: str) -> None:
    target = tmp_path / f"photos.{form}"

    result = pack(photos, target).result

    copy = unpacked(target, tmp_path / "out") / "photos"
    assert listing(copy) == listing(photos)
    assert stat.S_IMODE((copy / "script").stat().st_mode) == 0o751
    assert int((copy / "script").stat().st_mtime) == 1_500_000_000
    assert int((copy / "sub").stat().st_mtime) == 1_400_000_000
    assert result.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (result.bytes, result.format) == (target.stat().st_size, form)
    assert (result.members, result.files, result.skipped) == (11, 6, 0)
    assert result.content_bytes == (3 << 20) + 1_600_000 + len("unicode") + len("long name") + len("#!/bin/sh\n")


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_converts_to_every_other(tmp_path: Path, photos: Path, form: str, to: str) -> None:
    first = tmp_path / f"first.{form}"
    packed = pack(photos, first).result

    result = convert(first, tmp_path / f"second.{to}").result

    copy = unpacked(tmp_path / f"second.{to}", tmp_path / "out") / "photos"
    assert listing(copy) == listing(photos)
    assert stat.S_IMODE((copy / "script").stat().st_mode) == 0o751
    assert int((copy / "script").stat().st_mtime) == 1_500_000_000
    assert (result.members, result.files, result.content_bytes) == (packed.members, packed.files, packed.content_bytes)


def test_times_keep_their_nanoseconds_in_tar(tmp_path: Path, photos: Path) -> None:
    pack(photos, tmp_path / "a.tar.gz")
    convert(tmp_path / "a.tar.gz", tmp_path / "b.tar")

    copy = unpacked(tmp_path / "b.tar", tmp_path / "out") / "photos"
    assert (copy / "script").stat().st_mtime_ns == 1_500_000_000_123_456_789


def test_a_single_file_is_packed_under_its_name(tmp_path: Path, photos: Path) -> None:
    pack(photos / "text", tmp_path / "a.zip")

    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == ["text"]


@pytest.mark.parametrize("form", ["tar.zst", "zip"])
def test_several_sources_are_packed_each_under_its_own_name(tmp_path: Path, photos: Path, form: str) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    sources = [str(photos), str(tmp_path / "notes.txt")]

    done = run_inline(Pack(source=sources, target=str(tmp_path / f"all.{form}")))

    inside = unpacked(tmp_path / f"all.{form}", tmp_path / "unpacked")
    assert done.error is None
    assert sorted(path.name for path in inside.iterdir()) == ["notes.txt", photos.name]
    assert listing(inside / photos.name) == listing(photos)
    assert (inside / "notes.txt").read_text() == "notes"


def test_two_sources_of_one_name_are_refused(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "other" / photos.name).mkdir(parents=True)

    done = run_inline(Pack(source=[str(photos), str(tmp_path / "other" / photos.name)], target=str(tmp_path / "all.zip")))

    assert isinstance(done.error, Refused)
    assert not (tmp_path / "all.zip").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_folder_and_an_empty_archive_are_fine(tmp_path: Path, photos: Path, form: str) -> None:
    result = pack(photos / "empty", tmp_path / f"a.{form}").result
    with tarfile.open(tmp_path / "source.tar", "w"):
        pass
    converted = convert(tmp_path / "source.tar", tmp_path / f"nothing.{form}").result

    assert (result.members, result.files) == (1, 0)
    assert listing(unpacked(tmp_path / f"a.{form}", tmp_path / "out")) == {"empty": "folder"}
    assert converted.members == 0
    assert convert(tmp_path / f"nothing.{form}", tmp_path / "again.tar").result.members == 0


def test_thousands_of_small_files(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(5000):
        (folder / f"{number}").write_bytes(b"%d" % number)

    packed = pack(folder, tmp_path / "a.tar.zst").result
    converted = convert(tmp_path / "a.tar.zst", tmp_path / "a.zip").result

    assert packed.files == converted.files == 5000
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        assert all(opened.read(f"many/{number}") == b"%d" % number for number in range(5000))


def test_equal_folders_give_equal_archives(tmp_path: Path, photos: Path) -> None:
    for form in FORMATS:
        first, second = pack(photos, tmp_path / f"a.{form}").result, pack(photos, tmp_path / f"b.{form}").result
        assert first.sha256 == second.sha256


def test_hard_links_stay_links_in_tar_and_become_files_in_zip(tmp_path: Path) -> None:
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "a").write_text("shared")
    for name in ("b", "c"):
        os.link(folder / "a", folder / name)

    packed = pack(folder, tmp_path / "a.tar").result
    pack(folder, tmp_path / "direct.zip")
    converted = convert(tmp_path / "a.tar", tmp_path / "a.zip").result

    with tarfile.open(tmp_path / "a.tar") as opened:
        assert [member.name for member in opened if member.islnk()] == ["linked/b", "linked/c"]
    assert packed.files == converted.files == 3
    for name in ("a.zip", "direct.zip"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert [archive.read(f"linked/{letter}") for letter in "abc"] == [b"shared"] * 3


def test_symlinks_are_never_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to("../secret")
    (folder / "etc").symlink_to("/etc")
    (folder / "loop").symlink_to(".")

    for form in FORMATS:
        assert pack(folder, tmp_path / f"a.{form}").result.files == 0
        assert listing(unpacked(tmp_path / f"a.{form}", tmp_path / f"out {form}") / "folder") == listing(folder)


def test_an_archive_written_into_the_folder_it_packs_leaves_itself_out(tmp_path: Path, photos: Path) -> None:
    expected = listing(photos)

    pack(photos, photos / "a.tar.gz")
    again = pack(photos, photos / "a.tar.gz", overwrite=True).result

    assert again.files == 6
    assert listing(unpacked(photos / "a.tar.gz", tmp_path / "out") / "photos") == expected


def test_what_is_no_file_is_left_out_with_a_warning(tmp_path: Path, photos: Path) -> None:
    os.mkfifo(photos / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(photos / "socket"))
        done = pack(photos, tmp_path / "a.zip")

    assert done.result.skipped == 2
    assert any("left out photos/fifo" in line for line in done.log)


def test_an_archive_may_be_replaced_and_even_converted_in_place(tmp_path: Path, photos: Path) -> None:
    target = tmp_path / "a.zip"
    target.write_text("old")

    assert pack(photos, target, overwrite=True).error is None
    assert convert(target, target, overwrite=True).error is None
    assert len(zipfile.ZipFile(target).namelist()) == 11


def test_progress_counts_real_bytes_and_ends_complete(tmp_path: Path, photos: Path) -> None:
    statuses = pack(photos, tmp_path / "a.tar").statuses

    phases = list(dict.fromkeys(status.phase for status in statuses))
    assert phases == ["packing", "digesting"]
    assert statuses[-1].done == statuses[-1].total == (tmp_path / "a.tar").stat().st_size


def test_names_with_newlines_and_control_characters_are_kept_and_shown_on_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "new\nline \x1b[31mred").write_text("x")

    for form in FORMATS:
        pack(folder, tmp_path / f"a.{form}")
        done = convert(tmp_path / f"a.{form}", tmp_path / f"b.{form}")
        assert done.error is None
        assert all(status.item.isprintable() for status in done.statuses)
    with tarfile.open(tmp_path / "b.tar") as opened:
        assert opened.getnames() == ["odd", "odd/new\nline \x1b[31mred"]
    assert zipfile.ZipFile(tmp_path / "b.zip").namelist() == ["odd/", "odd/new\nline \x1b[31mred"]


def test_a_name_that_is_not_unicode_is_kept_in_tar_and_refused_for_zip(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9")).write_text("x")

    pack(folder, tmp_path / "a.tar.gz")
    copy = convert(tmp_path / "a.tar.gz", tmp_path / "b.tar")
    error, _ = refused_without_trace(tmp_path, lambda: pack(folder, tmp_path / "a.zip"))

    assert copy.error is None
    assert listing(unpacked(tmp_path / "b.tar", tmp_path / "out") / "odd") == listing(folder)
    assert isinstance(error, Refused)
    assert "not Unicode" in error.what


def test_a_sparse_file_becomes_a_whole_one(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    subprocess.run(["tar", "--sparse", "-cf", tmp_path / "a.tar", "-C", tmp_path, "sparse"], check=True)

    convert(tmp_path / "a.tar", tmp_path / "b.tar.gz")

    copy = unpacked(tmp_path / "b.tar.gz", tmp_path / "out")
    assert (copy / "sparse").read_bytes() == (tmp_path / "sparse").read_bytes()
