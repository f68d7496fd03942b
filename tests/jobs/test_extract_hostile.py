"""Archives that mean harm: nothing is written outside of the new folder, and nothing is left of it."""

from __future__ import annotations

import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from heavyjobs.jobs import limits, read_zip
from heavyjobs.jobs.links import symlink_fault
from heavyjobs.jobs.names import DEPTH_MAX
from heavyjobs.jobs.trouble import Refused, Unreadable
from heavyjobs.parts import NAME_MAX_BYTES
from tests.jobs.archives import FORMATS, extract, info, pack, refused_without_trace, tar_with
from tests.jobs.folders import listing

DIR, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to extract in, beside what must not be touched."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def refused(place: Path, archive: Path, **options: object) -> Refused:
    error, retry = refused_without_trace(place.parent, lambda: extract(archive, place / "out", **options))
    assert isinstance(error, Refused), error
    assert not retry
    return error


@pytest.mark.fault("security: an archive whose names lead out of the folder that it is extracted to")
@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/x", "..", "a\\..\\b", "C:\\a", "\\\\host\\a", "c:/a"])
def test_names_that_escape_are_refused(place: Path, name: str) -> None:
    tar = tar_with(place.parent / "evil.tar", info("fine", size=1), info(name, size=1))
    with zipfile.ZipFile(place.parent / "evil.zip", "w") as opened:
        opened.writestr("fine", "x")
        opened.writestr(zipfile.ZipInfo(name), "x")

    for archive in (tar, place.parent / "evil.zip"):
        refused(place, archive)


def test_a_name_with_nul_is_refused(place: Path) -> None:
    with zipfile.ZipFile(place.parent / "evil.zip", "w") as opened:
        opened.writestr("aXb", "x")
    data = (place.parent / "evil.zip").read_bytes()
    (place.parent / "evil.zip").write_bytes(data.replace(b"aXb", b"a\0b"))

    assert "NUL" in refused(place, place.parent / "evil.zip").what


@pytest.mark.fault("security: an archive that writes through its own symlink")
@pytest.mark.parametrize("to", ["..", "/", ".", "../..", "d"])
@pytest.mark.parametrize("order", ["link first", "file first"])
def test_nothing_is_written_through_a_symlink(place: Path, to: str, order: str) -> None:
    link, file = info("d/s", LINK, link=to), info("d/s/secret", size=3)
    tar = tar_with(place.parent / "evil.tar", *((link, file) if order == "link first" else (file, link)))

    refused(place, tar)


@pytest.mark.parametrize("to", ["../..", "..", "/etc/passwd", "../../secret", "d/../../secret", "", "d/s/../../.."])
def test_symlinks_that_could_lead_out_are_refused_or_left_out(place: Path, to: str) -> None:
    tar = tar_with(place.parent / "evil.tar", info("d", DIR), info("d/s", LINK, link="."), info("evil", LINK, link=to))

    refused(place, tar)
    done = extract(tar, place / "out", links="skip")

    assert (done.result.left_out, done.result.symlinks) == (2, 0)
    assert listing(place / "out") == {"d": "folder"}


def test_a_chain_of_symlinks_cannot_lead_out(place: Path) -> None:
    """Each stays inside as it is read, and all of them together would not."""
    tar = tar_with(
        place.parent / "evil.tar", info("a/b", DIR), info("a/up", LINK, link=".."), info("out", LINK, link="a/up/../secret")
    )

    assert "goes down and up again" in refused(place, tar).what


@pytest.mark.parametrize(
    ("name", "link", "is_fine"),
    [
        ("l", "a", True),
        ("l", "./a//b", True),
        ("d/l", "../a", True),
        ("d/e/l", "../../a/b", True),
        ("l", "..", False),
        ("d/l", "../..", False),
        ("d/l", "./../../a", False),
        ("d/l", "a/../b", False),
        ("l", "/a", False),
        ("l", "", False),
        ("l", "a\0b", False),
    ],
)
def test_a_symlink_goes_up_first_and_then_down(name: str, link: str, is_fine: bool) -> None:
    assert (symlink_fault(name, link) is None) is is_fine


@pytest.mark.fault("security: an archive whose hard link leads out of the folder that it is extracted to")
@pytest.mark.parametrize("to", ["../secret", "/etc/passwd"])
def test_hard_links_to_outside_are_refused(place: Path, to: str) -> None:
    refused(place, tar_with(place.parent / "evil.tar", info("h", HARD, link=to)))


@pytest.mark.parametrize("to", ["missing", "s", "d", "h"])
def test_a_hard_link_leads_only_to_a_file_of_the_archive(place: Path, to: str) -> None:
    tar = tar_with(place.parent / "evil.tar", info("d", DIR), info("s", LINK, link="d"), info("h", HARD, link=to))

    error, retry = refused_without_trace(place.parent, lambda: extract(tar, place / "out"))

    assert isinstance(error, Unreadable)
    assert not retry


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_and_fifos_are_refused(place: Path, kind: bytes) -> None:
    refused(place, tar_with(place.parent / "evil.tar", info("fine", size=1), info("dev", kind)))


def test_a_negative_mode_is_taken_by_its_lowest_bits(place: Path) -> None:
    """GNU's binary numbers have signs."""
    tar = tar_with(place.parent / "evil.tar", info("one"))
    header = bytearray(tar.read_bytes()[:512])
    header[100:108] = (-2).to_bytes(8, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    tar.write_bytes(header + tar.read_bytes()[512:])

    done = extract(tar, place / "out")

    assert done.error is None
    assert stat.S_IMODE((place / "out/one").lstat().st_mode) == 0o754


@pytest.mark.fault("security: an archive with setuid files, open to all")
def test_setuid_setgid_sticky_and_others_write_are_dropped(place: Path) -> None:
    made = [info("file", size=1), info("folder", DIR), info("folder/in it", size=1)]
    for one in made:
        one.mode, one.uid, one.gid = 0o7777, 12345, 12345
    tar = tar_with(place.parent / "evil.tar", *made)

    assert extract(tar, place / "out").error is None

    for one in made:
        status = (place / "out" / one.name).stat()
        assert stat.S_IMODE(status.st_mode) == 0o755
        assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())


@pytest.mark.fault("security: an archive with names that some file systems take for one")
@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "a"), ("a", "A"), ("straße", "STRASSE"), ("\u00e9", "e\u0301"), ("D/a", "d/b"), ("d/x/a", "d/X/b"), ("K", "\u212a")],
)
def test_names_that_collide_are_refused_unless_they_may_be_exact(place: Path, one: str, other: str) -> None:
    tar = tar_with(place.parent / "evil.tar", info(one, size=1), info(other, size=2))

    refused(place, tar)
    done = extract(tar, place / "out", exact_names=True)

    assert (done.error is None) is (one != other)


@pytest.mark.parametrize(
    "members",
    [
        [info("a", size=1), info("a/b", size=1)],
        [info("a/b", size=1), info("a", size=1)],
        [info("a", DIR), info("a", size=1)],
        [info("a", size=1), info("a", DIR)],
        [info("a", size=1), info("A/b", size=1)],
        [info("x", size=1), info("a", HARD, link="x"), info("a", size=1)],
        [info("x", size=1), info("a", LINK, link="x"), info("a", LINK, link="y")],
    ],
)
def test_a_name_is_one_thing_only(place: Path, members: list[tarfile.TarInfo]) -> None:
    refused(place, tar_with(place.parent / "evil.tar", *members))


def test_a_folder_may_come_often(place: Path) -> None:
    tar = tar_with(place.parent / "a.tar", info("d", DIR), info("d/a", size=1), info("d", DIR), info("./d/b", size=1))

    assert extract(tar, place / "out").error is None


def test_names_too_long_or_too_deep_are_refused(place: Path) -> None:
    for name in ("n" * (NAME_MAX_BYTES + 1), "é" * 200, "/".join(["d"] * (DEPTH_MAX + 2)), "/".join(["n" * 99] * 50)):
        refused(place, tar_with(place.parent / "evil.tar", info("fine"), info(name, size=1)))
    deep = "/".join(["d"] * (DEPTH_MAX + 1))
    assert extract(tar_with(place.parent / "fine.tar", info(deep, size=1)), place / "out").error is None


@pytest.mark.fault("security: an archive that unpacks to more than the disk should hold")
@pytest.mark.parametrize("form", FORMATS)
def test_bytes_are_bounded_as_they_are_written(place: Path, form: str) -> None:
    (place.parent / "zeros").write_bytes(bytes(3 << 20))
    pack(place.parent / "zeros", place.parent / f"bomb.{form}")

    assert "more than 1.0 MiB" in refused(place, place.parent / f"bomb.{form}", max_bytes="1MiB").what
    assert extract(place.parent / f"bomb.{form}", place / "out", max_bytes=3 << 20).error is None


def test_the_ratio_is_bounded_once_it_could_do_harm(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.parent / "zeros").write_bytes(bytes(3 << 20))
    pack(place.parent / "zeros", place.parent / "bomb.zip")

    assert extract(place.parent / "bomb.zip", place / "small").error is None
    monkeypatch.setattr(limits, "RATIO_FROM_BYTES", 2 << 20)

    assert "200 times its own size" in refused(place, place.parent / "bomb.zip").what
    assert extract(place.parent / "bomb.zip", place / "out", max_ratio=10_000).error is None


@pytest.mark.fault("security: an archive with more members than a disk has room for")
def test_members_are_bounded_with_the_folders_on_the_way(place: Path) -> None:
    many = tar_with(place.parent / "many.tar", *(info(f"{number}") for number in range(11)))
    deep = tar_with(place.parent / "deep.tar", info("1/2/3/4/5/6/7/8/9/10/file"))

    for bomb in (many, deep):
        assert "more than 10 members" in refused(place, bomb, max_members=10).what
        assert extract(bomb, place / bomb.stem, max_members=11).error is None


def test_an_archive_in_the_archive_stays_packed(place: Path) -> None:
    (place.parent / "zeros").write_bytes(bytes(1 << 20))
    pack(place.parent / "zeros", place.parent / "inner.zip")
    pack(place.parent / "inner.zip", place.parent / "outer.zip")

    extract(place.parent / "outer.zip", place / "out")

    assert list(listing(place / "out")) == ["inner.zip"]


def two_members(path: Path) -> bytearray:
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a", bytes(1000))
        opened.writestr("b", bytes(1000))
    return bytearray(path.read_bytes())


def overlaps(data: bytearray) -> None:
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    data[second + 42 : second + 46] = struct.pack("<I", 0)


def overlaps_by_its_local_names(data: bytearray) -> None:
    """The first member's own header makes room for the second's header among its extra field."""
    data[28:30] = struct.pack("<H", 20)


def reaches_into_the_directory(data: bytearray) -> None:
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    data[second + 20 : second + 28] = struct.pack("<II", 1040, 1040)
    local = data.index(b"PK\3\4", 4)
    data[local + 18 : local + 26] = struct.pack("<II", 1040, 1040)


def differs_in_size(data: bytearray) -> None:
    data[18:26] = struct.pack("<II", 10, 10)


def differs_in_method(data: bytearray) -> None:
    data[8:10] = struct.pack("<H", zipfile.ZIP_DEFLATED)


def has_no_local_header(data: bytearray) -> None:
    data[:4] = b"PK\0\0"


def differs_in_name(data: bytearray) -> None:
    data[30:31] = b"c"


@pytest.mark.fault("security: a zip whose two headers disagree, or whose members share bytes")
@pytest.mark.parametrize(
    "harm",
    [
        overlaps,
        overlaps_by_its_local_names,
        reaches_into_the_directory,
        differs_in_size,
        differs_in_method,
        differs_in_name,
        has_no_local_header,
    ],
)
def test_a_zip_that_says_two_things_is_unreadable(place: Path, harm: Callable[[bytearray], None]) -> None:
    evil = place.parent / "evil.zip"
    data = two_members(evil)
    harm(data)
    evil.write_bytes(data)

    error, retry = refused_without_trace(place.parent, lambda: extract(evil, place / "out"))

    assert isinstance(error, Unreadable)
    assert not retry


def test_a_zip_member_with_a_huge_dictionary_is_unreadable(place: Path) -> None:
    evil = place.parent / "evil.zip"
    with zipfile.ZipFile(evil, "w", zipfile.ZIP_LZMA) as opened:
        opened.writestr("a", b"some text " * 100)
    data = bytearray(evil.read_bytes())
    assert extract(evil, place / "fine").error is None
    data[30 + 1 + 5 : 30 + 1 + 9] = b"\xff\xff\xff\xff"
    evil.write_bytes(data)

    error, _ = refused_without_trace(place.parent, lambda: extract(evil, place / "out"))

    assert isinstance(error, Unreadable)
    assert "too much memory" in error.what


@pytest.mark.fault("security: a zip whose directory would fill the memory")
@pytest.mark.parametrize("wide", [False, True])
def test_a_directory_that_would_fill_the_memory_is_refused(place: Path, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(place.parent / "evil.zip", "w") as opened:
        for number in range(70_000 if wide else 1000):  # past 65,535 the end record is zip64's
            opened.writestr(zipfile.ZipInfo(f"{number}"), b"")
        opened.comment = b"a comment PK"
    length = 46 * len(opened.namelist()) + sum(map(len, opened.namelist()))

    monkeypatch.setattr(read_zip, "DIRECTORY_MAX_BYTES", length - 1)
    assert "would fill the memory" in refused(place, place.parent / "evil.zip").what
    monkeypatch.setattr(read_zip, "DIRECTORY_MAX_BYTES", length)
    assert "more than 10 members" in refused(place, place.parent / "evil.zip", max_members=10).what


@pytest.mark.fault("security: an archive whose headers go on for ever")
def test_headers_without_end_are_refused(place: Path) -> None:
    chain = tarfile.TarInfo("x").create_pax_global_header({"comment": "x"}) * 5000
    headers = (tarfile.TarInfo().create_pax_global_header({f"k{number}": "x" * (1 << 20)}) for number in range(20))
    fat = b"".join(header + file_of(f"{number}") for number, header in enumerate(headers))

    for data, what in ((chain, "hundreds of headers"), (fat, "global headers")):
        (place.parent / "evil.tar").write_bytes(data + bytes(1024))
        assert what in refused(place, place.parent / "evil.tar").what


def file_of(name: str) -> bytes:
    return info(name).tobuf()
