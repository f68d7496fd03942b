"""7z and rar: what is in them comes out of them, as the programs that wrote them and independent readers have it."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from heavyjobs.jobs.members import Sort
from tests.jobs.archives import convert, extract, photos, unpacked
from tests.jobs.folders import listing
from tests.jobs.foreign import METHODS, RARS, needs_libarchive, pack_7z, py7zr, rarfile, seven_zip
from tests.jobs.test_archive_looking import list_, verify

pytestmark = needs_libarchive

__all__ = ["photos"]

GOOD = ("rar3-subdirs", "rar5-subdirs", "seektest", "rar5-blake", "rar5-solid", "unicode2")


@pytest.mark.parametrize("method", METHODS)
def test_a_7z_comes_out_as_the_folder_that_was_packed(tmp_path: Path, photos: Path, method: str) -> None:
    archive = pack_7z(photos, tmp_path / "a.7z", method=method)

    extracted = extract(archive, tmp_path / "out").result

    out = tmp_path / "out/photos"
    assert listing(out) == listing(photos)
    assert (extracted.format, extracted.symlinks, extracted.files) == ("7z", 1, 6)
    assert extracted.bytes == sum(path.stat().st_size for path in photos.rglob("*") if path.is_file())
    assert out.joinpath("script").stat().st_mode & 0o777 == 0o751
    assert out.joinpath("sub").stat().st_mtime_ns == 1_400_000_000_000_000_000
    # 7z counts in steps of 100 ns
    assert abs(out.joinpath("script").stat().st_mtime_ns - 1_500_000_000_123_456_789) < 1000


def test_a_7z_is_listed_as_an_independent_reader_lists_it(tmp_path: Path, photos: Path) -> None:
    archive = pack_7z(photos, tmp_path / "a.7z")

    listed = list_(archive).result

    with py7zr.SevenZipFile(archive) as opened:
        said = {info.filename: (info.is_directory, info.uncompressed or 0) for info in opened.list()}
    assert {entry.name for entry in listed.entries} == set(said)
    assert {entry.name for entry in listed.entries if entry.sort is Sort.FOLDER} == {n for n, (f, _) in said.items() if f}
    files = [entry for entry in listed.entries if entry.sort is Sort.FILE]
    assert [(entry.name, entry.bytes) for entry in files] == [(entry.name, said[entry.name][1]) for entry in files]
    assert [(entry.name, entry.link) for entry in listed.entries if entry.link] == [("photos/link", "sub/deeper")]
    assert (listed.format, listed.bytes, listed.following) == ("7z", archive.stat().st_size, None)


@pytest.mark.parametrize("name", GOOD)
def test_a_rar_comes_out_with_the_sums_that_an_independent_reader_finds_in_it(tmp_path: Path, name: str) -> None:
    archive = RARS / f"{name}.rar"

    extracted = extract(archive, tmp_path / "out").result

    with rarfile.RarFile(str(archive)) as opened:
        infos = [info for info in opened.infolist() if not info.is_dir()]
    assert extracted.files == len(infos) > 0
    for info in infos:
        data = (tmp_path / "out" / info.filename).read_bytes()
        assert len(data) == info.file_size
        assert info.CRC in {None, zlib.crc32(data)}
        if info.mtime is not None:
            assert (tmp_path / "out" / info.filename).stat().st_mtime == int(info.mtime.timestamp())


def test_the_links_of_a_rar_are_links(tmp_path: Path) -> None:
    hard = extract(RARS / "rar5-hlink.rar", tmp_path / "hard").result
    soft = list_(RARS / "rar3-symlink-unix.rar").result

    inodes = {path.stat().st_ino for path in (tmp_path / "hard").iterdir()}
    assert (len(inodes), hard.files, hard.bytes) == (1, 3, 2048)
    links = [(entry.name, entry.link) for entry in soft.entries if entry.sort is Sort.SYMLINK]
    assert links == [("data_link", "data.txt"), ("random_link", "../random123")]


@pytest.mark.parametrize("form", ["tar.zst", "zip"])
def test_a_7z_becomes_an_archive_that_the_system_unpacks(tmp_path: Path, photos: Path, form: str) -> None:
    archive = pack_7z(photos, tmp_path / "a.7z")

    converted = convert(archive, tmp_path / f"b.{form}").result

    assert listing(unpacked(tmp_path / f"b.{form}", tmp_path / "out") / "photos") == listing(photos)
    assert (converted.format, converted.members) == (form, list_(archive).result.members)


def test_a_rar_with_hard_links_becomes_a_zip_with_files(tmp_path: Path) -> None:
    convert(RARS / "rar5-hlink.rar", tmp_path / "a.zip")

    contents = {path.read_bytes() for path in unpacked(tmp_path / "a.zip", tmp_path / "out").iterdir()}
    assert len(contents) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["stest1.txt", "stest2.txt", "stest3.txt"]


def test_the_content_says_the_format_and_not_the_name(tmp_path: Path) -> None:
    seven_zip(tmp_path / "a.zip", {"a": b"a"})
    (tmp_path / "b.7z").write_bytes((RARS / "unicode2.rar").read_bytes())

    assert (list_(tmp_path / "a.zip").result.format, list_(tmp_path / "b.7z").result.format) == ("7z", "rar")


def test_what_is_verified_has_the_digests_of_what_is_extracted(tmp_path: Path, photos: Path) -> None:
    archive = pack_7z(photos, tmp_path / "a.7z")

    verified = verify(archive).result

    extracted = extract(archive, tmp_path / "out").result
    assert verified.content_sha256 == extracted.sha256
    assert (verified.members, verified.files, verified.content_bytes) == (
        extracted.members,
        extracted.files,
        extracted.bytes,
    )


def test_names_of_a_7z_come_in_composed_form(tmp_path: Path) -> None:
    archive = seven_zip(tmp_path / "a.7z", {"e\N{COMBINING ACUTE ACCENT}": b"1", "n" * 250: b"2", "日本 \N{PILE OF POO}": b"3"})

    names = [entry.name for entry in list_(archive).result.entries]

    assert names == ["\N{LATIN SMALL LETTER E WITH ACUTE}", "n" * 250, "日本 \N{PILE OF POO}"]
