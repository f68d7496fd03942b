"""Zip files that are one archive to some readers and another, or none, to others; beside them what `unzip` says."""

from __future__ import annotations

import io
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from heavyjobs.jobs.trouble import Trouble, Unreadable
from tests.jobs.archives import convert, extract, refused_without_trace
from tests.jobs.folders import listing
from tests.jobs.test_archive_looking import list_, verify


def zipped(*names: str, comment: bytes = b"", method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as opened:
        for name in names:
            opened.writestr(name, f"what {name} holds")
        opened.comment = comment
    return made.getvalue()


def end_at(data: bytes) -> int:
    return data.rfind(b"PK\5\6")


def with_end(data: bytes, **fields: int) -> bytes:
    """The end record saying something else: entries, size, offset, comment."""
    at = end_at(data)
    _, disk, first, _, entries, size, offset, comment = struct.unpack_from("<4s4H2IH", data, at)
    said = {"disk": disk, "entries": entries, "size": size, "offset": offset, "comment": comment} | fields
    end = struct.pack("<4s4H2IH", b"PK\5\6", said["disk"], first, said["entries"], said["entries"], *list(said.values())[2:])
    return data[:at] + end + data[at + len(end) :]


def wide(data: bytes, **fields: int) -> bytes:
    """With a zip64 record, and an end that leaves all to it."""
    at = end_at(data)
    _, _, _, _, entries, size, offset, _ = struct.unpack_from("<4s4H2IH", data, at)
    said = {"entries": entries, "size": size, "offset": offset, "place": at} | fields
    numbers = (said["entries"], said["entries"], said["size"], said["offset"])
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, *numbers)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, said["place"], 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:at] + record + locator + end


def moved(data: bytes, by: int) -> bytes:
    """The same archive as it has to be behind so many other bytes."""
    made, at = bytearray(data), data.find(b"PK\1\2")
    while at >= 0:
        made[at + 42 : at + 46] = struct.pack("<I", by + int.from_bytes(data[at + 42 : at + 46], "little"))
        at = data.find(b"PK\1\2", at + 1)
    offset = int.from_bytes(data[end_at(data) + 16 : end_at(data) + 20], "little")
    return with_end(bytes(made), offset=offset + by)


def unzip_says(path: Path) -> tuple[int, list[str]]:
    """The exit code of the system's unzip, and the names that it sees."""
    tested = subprocess.run(["unzip", "-qqt", path], check=False, capture_output=True)
    names = subprocess.run(["unzip", "-Z1", path], check=False, capture_output=True, text=True)
    return tested.returncode, names.stdout.split()


def refusal(folder: Path, data: bytes) -> tuple[Path, Trouble]:
    """What all jobs that read archives say of it, which is the same."""
    evil = folder / "evil.zip"
    evil.write_bytes(data)
    said = [list_(evil).error, verify(evil).error]
    error, retry = refused_without_trace(folder, lambda: extract(evil, folder / "out"))
    converted, _ = refused_without_trace(folder, lambda: convert(evil, folder / "out.tar"))
    assert not retry
    assert error is not None
    assert [error] * 3 == [converted, *said]
    assert isinstance(error, Unreadable)
    return evil, error


@pytest.mark.fault("security: a zip with bytes in front, that readers from the front take for another archive")
def test_an_archive_in_front_of_an_archive_is_refused(tmp_path: Path) -> None:
    """From its end it is the second, from its front the first."""
    first, second = zipped("first"), zipped("second")

    for data in (first + second, first + moved(second, len(first))):
        evil, error = refusal(tmp_path, data)
        assert "in front" in error.what
        assert unzip_says(evil)[1] == ["second"]
        assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["second"]


@pytest.mark.parametrize("program", [b"#!/bin/sh\nexec unzip $0\n", b"MZ" + bytes(100), b"\x7fELF" + bytes(1000)])
@pytest.mark.parametrize("adjusted", [False, True])
def test_a_program_that_unpacks_itself_is_said_to_be_one(tmp_path: Path, program: bytes, adjusted: bool) -> None:
    data = program + (moved(zipped("a"), len(program)) if adjusted else zipped("a"))

    evil, error = refusal(tmp_path, data)

    assert f"{len(program)} bytes in front" in error.what
    assert "self-extractor" in error.what or adjusted
    assert unzip_says(evil)[1] == ["a"]


def test_what_is_no_program_with_a_zip_is_no_zip(tmp_path: Path) -> None:
    _, error = refusal(tmp_path, b"#!/bin/sh\necho a text\n" + zipped("a") + b"garbage")

    assert "archive" in error.what


@pytest.mark.fault("security: a zip with several ends, each of which some readers take for the only one")
def test_an_end_in_the_comment_of_an_end_is_refused(tmp_path: Path) -> None:
    """Read from the end it is the inner archive; to who tries the first record that fits it is the outer one."""
    outer, inner = zipped("outer"), zipped("inner")
    hidden = moved(inner, len(outer))

    evil, error = refusal(tmp_path, with_end(outer, comment=len(hidden)) + hidden)

    assert "several ends" in error.what
    assert unzip_says(evil)[1] == ["inner"]


@pytest.mark.parametrize("behind", [b"PK\5\6", b"some PK\5\6 and less than a record", b"x" * 500 + b"PK\5\6" + bytes(18)])
def test_what_looks_like_an_end_in_a_comment_is_refused(tmp_path: Path, behind: bytes) -> None:
    _, error = refusal(tmp_path, zipped("a", comment=behind))

    assert "several ends" in error.what


@pytest.mark.fault("security: a zip with more behind its end")
@pytest.mark.parametrize("garbage", [b"\0", b"\n", b"more" * 100, bytes(70_000), zipped("b")[:-1]])
def test_bytes_after_the_end_are_refused(tmp_path: Path, garbage: bytes) -> None:
    _, error = refusal(tmp_path, zipped("a") + garbage)

    assert any(words in error.what for words in ("more data after its end", "no record at its end", "several ends"))


def test_a_comment_shorter_or_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    data = zipped("a", comment=b"twelve bytes")

    for length in (0, 11, 13, 0xFFFF):
        _, error = refusal(tmp_path, with_end(data, comment=length))
        assert "after its end" in error.what


@pytest.mark.parametrize("count", [0, 1, 3, 0xFFFF])
def test_a_number_of_entries_that_is_not_theirs_is_refused(tmp_path: Path, count: int) -> None:
    _, error = refusal(tmp_path, with_end(zipped("a", "b"), entries=count))

    assert "entries" in error.what


def test_a_directory_that_ends_before_its_last_entry_is_refused(tmp_path: Path) -> None:
    """One reader goes by its length, another by the number of its entries."""
    data = zipped("a", "b")
    one = 46 + len("a")

    _, error = refusal(tmp_path, with_end(data, size=one, entries=1))

    assert "in front" in error.what


def test_a_part_of_several_files_is_refused(tmp_path: Path) -> None:
    _, error = refusal(tmp_path, with_end(zipped("a"), disk=1))

    assert "several files" in error.what


@pytest.mark.fault("security: a zip that readers from the front find more entries in than its directory names")
def test_an_entry_that_the_directory_does_not_name_is_refused(tmp_path: Path) -> None:
    """The second of three, whose place in the directory is given up."""
    data = zipped("a", "hidden", "c")
    begin = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    end = data.index(b"PK\1\2", begin + 1)
    shorter = data[:begin] + data[end:]
    size = int.from_bytes(data[end_at(data) + 12 : end_at(data) + 16], "little") - (end - begin)

    evil, error = refusal(tmp_path, with_end(shorter, entries=2, size=size))

    assert "does not name" in error.what
    assert unzip_says(evil) == (0, ["a", "c"])


def test_an_entry_behind_the_last_one_is_refused(tmp_path: Path) -> None:
    data = zipped("a", "hidden")
    begin = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    shorter = data[:begin] + data[end_at(data) :]

    evil, error = refusal(tmp_path, with_end(shorter, entries=1, size=begin - data.index(b"PK\1\2")))

    assert "does not name" in error.what
    assert unzip_says(evil) == (0, ["a"])


def test_a_folder_that_is_a_file_by_its_other_header_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped("folder/"))
    data[30:37] = b"a file!"

    _, error = refusal(tmp_path, bytes(data))

    assert "two names" in error.what


def lies(data: bytes, what: str) -> bytes:
    return wide(data, **{what: {"entries": 2, "size": 1, "offset": 1, "place": 0}[what]})


@pytest.mark.parametrize("what", ["entries", "size", "offset", "place"])
def test_a_wide_end_that_lies_is_refused(tmp_path: Path, what: str) -> None:
    refusal(tmp_path, lies(zipped("a"), what))


def test_two_ends_that_say_different_things_are_refused(tmp_path: Path) -> None:
    _, error = refusal(tmp_path, with_end(wide(zipped("a")), size=10))

    assert "different things" in error.what


def by_zip(folder: Path, *options: str) -> bytes:
    (folder / "in").mkdir()
    for name in ("a", "b"):
        (folder / "in" / name).write_text(f"what {name} holds")
    subprocess.run(["zip", "-qr", *options, folder / "made.zip", "."], cwd=folder / "in", check=True)
    return (folder / "made.zip").read_bytes()


def by_zip_through_a_pipe(folder: Path) -> bytes:
    """With the sizes and sums after the data."""
    by_zip(folder)
    return subprocess.run(["zip", "-qr", "-", "."], cwd=folder / "in", check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    "made",
    [
        lambda _: zipped("a", "b"),
        lambda _: zipped("a", "b", comment=b"a comment with PK\5 and PK\3\4 and PK\1\2"),
        lambda _: zipped("a", "b", comment=b"x" * 0xFFFF),
        lambda _: wide(zipped("a", "b")),
        by_zip,
        by_zip_through_a_pipe,
        lambda folder: by_zip(folder, "-fz"),
    ],
)
def test_what_is_one_archive_to_all_is_read(tmp_path: Path, made: Callable[[Path], bytes]) -> None:
    (tmp_path / "a.zip").write_bytes(made(tmp_path))

    assert extract(tmp_path / "a.zip", tmp_path / "out").error is None

    assert unzip_says(tmp_path / "a.zip") == (0, unzip_says(tmp_path / "a.zip")[1])
    assert [(tmp_path / "out" / name).read_text() for name in "ab"] == ["what a holds", "what b holds"]


def test_an_archive_stored_in_an_archive_is_no_second_end(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("inner.zip", zipped("a"))
        opened.writestr("empty.zip", zipped())

    assert extract(tmp_path / "a.zip", tmp_path / "out").error is None

    assert list(listing(tmp_path / "out")) == ["empty.zip", "inner.zip"]


def test_an_empty_zip_is_empty_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped())
    assert list_(tmp_path / "a.zip").result.members == 0

    refusal(tmp_path, zipped("a")[:-22] + zipped())


def test_signatures_and_alignment_between_the_members_and_the_directory_are_let_through(tmp_path: Path) -> None:
    """As Android's packages have them."""
    data = zipped("a")
    at = data.index(b"PK\1\2")
    signed = data[:at] + b"signature" * 1000 + b"APK Sig Block 42" + data[at:]
    signed = with_end(signed, offset=at + 9016)
    (tmp_path / "a.zip").write_bytes(signed)

    assert extract(tmp_path / "a.zip", tmp_path / "out").error is None
    assert unzip_says(tmp_path / "a.zip") == (0, ["a"])
