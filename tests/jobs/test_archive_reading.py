"""An archive that somebody else has made: cut off, altered, encrypted, or meant to do harm."""

from __future__ import annotations

import gzip
import os
import stat
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from heavyjobs.jobs.trouble import Refused, SourceMissing, Unreadable
from tests.jobs.archives import FORMATS, convert, info, pack, photos, refused_without_trace, tar_with, unpacked
from tests.jobs.folders import listing

__all__ = ["photos"]


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.zst", "tar.xz", "tar.bz2"])
def test_archives_of_the_systems_tar_are_read(tmp_path: Path, photos: Path, form: str) -> None:
    for style in ("gnu", "pax", "oldgnu"):
        source = tmp_path / f"{style}.{form}"
        subprocess.run(["tar", f"--format={style}", "-caf", source, "-C", photos, "."], check=True)

        convert(source, tmp_path / f"{style}.zip").result  # noqa: B018 - raises when it failed

        assert listing(unpacked(tmp_path / f"{style}.zip", tmp_path / f"out {style}")) == listing(photos)


@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_cut_off_anywhere_is_unreadable(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}").write_bytes(os.urandom(700))
    whole = tmp_path / f"whole.{form}"
    pack(folder, whole)
    data = whole.read_bytes()
    # A tar is filled up with zeros, of which a missing part is no loss.
    content = 512 * (1 + 5 * (1 + 2)) + 512 * 6 if form == "tar" else len(data)
    cut = tmp_path / f"cut.{form}"

    for length in [*range(1, content, max(content // 40, 1)), content - 1]:
        cut.write_bytes(data[:length])
        error, retry = refused_without_trace(tmp_path, lambda: convert(cut, tmp_path / "out.tar.gz"))
        assert isinstance(error, Unreadable), length
        assert not retry


@pytest.mark.parametrize("form", FORMATS)
def test_a_flipped_byte_in_compressed_or_checked_data_is_found(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").write_bytes(b"some text that compresses, " * 1000 + os.urandom(5000))
    whole = tmp_path / f"whole.{form}"
    pack(tmp_path / "a", whole)
    data = bytearray(whole.read_bytes())
    position = 100 if form == "tar" else len(data) // 2  # a plain tar has sums over its headers only
    data[position] ^= 0xFF
    whole.write_bytes(data)

    error, _ = refused_without_trace(tmp_path, lambda: convert(whole, tmp_path / "out.tar"))

    assert isinstance(error, Unreadable)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.zst"])
@pytest.mark.parametrize("content", [b"", b"just a text\n" * 100, b"PK\3\4 not really" * 40, b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    error, retry = refused_without_trace(tmp_path, lambda: convert(tmp_path / name, tmp_path / "out.zip"))

    assert isinstance(error, Unreadable)
    assert not retry


def test_the_content_counts_and_not_the_name(tmp_path: Path, photos: Path) -> None:
    pack(photos, tmp_path / "a.zip")
    (tmp_path / "a.zip").rename(tmp_path / "a.tar.gz")

    assert convert(tmp_path / "a.tar.gz", tmp_path / "b.tar").result.members == 11


@pytest.mark.fault("security: an archive whose names lead out of it")
@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "..", "a\\..\\b", "C:\\a", "\\\\host\\a", "c:/a"])
@pytest.mark.parametrize("to", ["tar.zst", "zip"])
def test_names_that_escape_are_refused(tmp_path: Path, name: str, to: str) -> None:
    tar = tar_with(tmp_path / "evil.tar", info("fine"), info(name))
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as opened:
        opened.writestr("fine", "")
        opened.writestr(zipfile.ZipInfo(name), "")

    for source in (tar, tmp_path / "evil.zip"):
        error, retry = refused_without_trace(tmp_path, lambda: convert(source, tmp_path / f"out.{to}"))  # noqa: B023
        assert isinstance(error, Refused)
        assert not retry


@pytest.mark.fault("security: an archive with a hard link that leads out of it")
def test_a_hard_link_to_outside_is_refused(tmp_path: Path) -> None:
    tar = tar_with(tmp_path / "evil.tar", info("a", tarfile.LNKTYPE, link="../../etc/passwd"))

    for to in ("zip", "tar"):
        error, _ = refused_without_trace(tmp_path, lambda: convert(tar, tmp_path / f"out.{to}"))  # noqa: B023
        assert isinstance(error, Refused)


def test_a_hard_link_to_nothing_cannot_become_a_file(tmp_path: Path) -> None:
    tar = tar_with(tmp_path / "a.tar", info("a", tarfile.LNKTYPE, link="missing"))

    error, _ = refused_without_trace(tmp_path, lambda: convert(tar, tmp_path / "out.zip"))

    assert isinstance(error, Unreadable)
    assert "missing" in error.what


@pytest.mark.fault("security: an archive with devices in it")
@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_and_fifos_are_refused(tmp_path: Path, kind: bytes) -> None:
    tar = tar_with(tmp_path / "evil.tar", info("dev", kind))

    error, retry = refused_without_trace(tmp_path, lambda: convert(tar, tmp_path / "out.tar"))

    assert isinstance(error, Refused | SourceMissing)
    assert not retry


def test_a_device_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as opened:
        device = zipfile.ZipInfo("dev")
        device.create_system, device.external_attr = 3, (stat.S_IFCHR | 0o666) << 16
        opened.writestr(device, "")

    error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / "evil.zip", tmp_path / "out.tar"))

    assert isinstance(error, Refused)


def test_a_name_that_comes_twice_goes_into_a_tar_and_not_into_a_zip(tmp_path: Path) -> None:
    tar = tar_with(tmp_path / "twice.tar", info("d", tarfile.DIRTYPE), info("d", tarfile.DIRTYPE), info("a", size=1), info("a"))

    error, _ = refused_without_trace(tmp_path, lambda: convert(tar, tmp_path / "out.zip"))

    assert isinstance(error, Refused)
    assert "comes twice" in error.what
    assert convert(tar, tmp_path / "out.tar").result.members == 4


def test_encrypted_members_are_said_to_be_encrypted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("secret", "x")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for header, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(header) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(data)

    error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / "a.zip", tmp_path / "out.tar"))

    assert isinstance(error, Unreadable)
    assert "encrypted" in error.what


@pytest.mark.fault("security: an archive that unpacks to more than it holds")
def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("a", bytes(1000))
        opened.writestr("b", bytes(1000))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    data[second + 42 : second + 46] = struct.pack("<I", 0)  # b's header is said to be a's
    (tmp_path / "a.zip").write_bytes(data)

    error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / "a.zip", tmp_path / "out.tar"))

    assert isinstance(error, Unreadable)
    assert "overlaps" in error.what


def test_what_follows_the_end_of_a_tar_is_not_lost_in_silence(tmp_path: Path) -> None:
    first, second = tar_with(tmp_path / "1.tar", info("a")), tar_with(tmp_path / "2.tar", info("b"))
    (tmp_path / "both.tar").write_bytes(first.read_bytes() + second.read_bytes())
    (tmp_path / "both.tar.gz").write_bytes(gzip.compress(first.read_bytes()) + gzip.compress(second.read_bytes()))

    for name in ("both.tar", "both.tar.gz"):
        error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / name, tmp_path / "out.zip"))  # noqa: B023
        assert isinstance(error, Unreadable)
        assert "after the end" in error.what


def test_compressed_streams_of_several_pieces_are_read_whole(tmp_path: Path) -> None:
    data = tar_with(tmp_path / "a.tar", info("a", size=100_000)).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data[:50_000]) + gzip.compress(data[50_000:]))

    assert convert(tmp_path / "a.tar.gz", tmp_path / "out.zip").result.content_bytes == 100_000


@pytest.mark.fault("security: an archive whose header would fill the memory")
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    huge = info("pax", tarfile.XHDTYPE, size=1 << 40)
    (tmp_path / "evil.tar").write_bytes(huge.tobuf(tarfile.GNU_FORMAT) + bytes(4096))

    error, _ = refused_without_trace(tmp_path, lambda: convert(tmp_path / "evil.tar", tmp_path / "out.tar"))

    assert isinstance(error, Refused)
