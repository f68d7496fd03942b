"""Tar archives that nobody made in good faith: each job says the same typed error of them, soon, and leaves nothing."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from heavyjobs.jobs.trouble import Refused, Trouble, Unreadable
from tests.jobs.archives import convert, extract, refused_without_trace
from tests.jobs.test_archive_looking import list_, verify

END = bytes(1024)


def header(name: str = "evil", *, size: bytes = b"0", kind: bytes = b"0", mode: bytes = b"644", rest: bytes = b"") -> bytes:
    """A header whose fields say whatever they are told to."""
    front = name.encode().ljust(100, b"\0") + mode.ljust(8, b"\0") + bytes(16) + size.ljust(12, b"\0") + b"0".ljust(12, b"\0")
    back = (kind + bytes(100) + b"ustar\x0000").ljust(345 - 156, b"\0") + rest
    block = (front + b" " * 8 + back).ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def binary(number: int) -> bytes:
    """A number in base 256, as GNU tar stores large and negative ones."""
    return (number % (1 << 96)).to_bytes(12, "big") if number < 0 else b"\x80" + number.to_bytes(11, "big")


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def records(*pairs: tuple[str, str]) -> bytes:
    """The records of an extended header."""
    made = b""
    for key, value in pairs:
        text = f" {key}={value}\n".encode()
        length = next(length for length in range(len(text), len(text) + 9) if len(str(length)) + len(text) == length)
        made += b"%d" % length + text
    return made


def extended(data: bytes, *, kind: bytes = b"x") -> bytes:
    return header("PaxHeader", size=b"%o" % len(data), kind=kind) + padded(data)


FINE = header("fine", size=b"5") + padded(b"hello")


def refusal(folder: Path, data: bytes) -> Trouble:
    """What all jobs that read archives say of it."""
    evil = folder / "evil.tar"
    evil.write_bytes(data)
    error, retry = refused_without_trace(folder, lambda: extract(evil, folder / "out"))
    converted, _ = refused_without_trace(folder, lambda: convert(evil, folder / "out.tar.gz"))
    assert error is not None
    assert not retry
    assert {repr(error)} == {repr(converted), repr(verify(evil).error), repr(list_(evil).error)}
    return error


@pytest.mark.fault("security: a tar member of fewer bytes than none, over which readers go back or for ever")
@pytest.mark.parametrize(
    "evil",
    [
        header(size=binary(-512)),
        header(size=b"-1000"),
        extended(records(("size", "-1024"))) + header(),
        extended(records(("size", "-5120000")), kind=b"g") + header(),
        header(size=binary(-1024), kind=b"x") + header(),
        header(size=binary(-1024), kind=b"L") + header(),
    ],
)
@pytest.mark.parametrize("front", [b"", FINE])
def test_a_member_of_fewer_bytes_than_none_is_refused(tmp_path: Path, front: bytes, evil: bytes) -> None:
    assert isinstance(refusal(tmp_path, front + evil + END), Unreadable)


@pytest.mark.fault("security: a sparse tar member whose map goes back, overlaps or leads out")
@pytest.mark.parametrize(
    "segments",
    [
        [(4096, 512), (0, 512)],
        [(0, 512), (100, 512)],
        [(0, 512), (4096, 512)],
        [(0, 2048)],
        [(0, -512), (512, 512)],
        [(-512, 512), (512, 512)],
    ],
    ids=["descending", "overlapping", "beyond the end", "more than is stored", "negative length", "negative place"],
)
def test_a_map_of_holes_that_cannot_be_is_refused(tmp_path: Path, segments: list[tuple[int, int]]) -> None:
    places = b"".join(binary(offset) + binary(size) for offset, size in segments).ljust(96, b"\0")
    real = binary(4000)
    rest = (bytes(41) + places + b"\0" + real).ljust(167, b"\0")
    evil = header(size=b"%o" % 1024, kind=b"S", rest=rest) + b"D" * 1024

    assert isinstance(refusal(tmp_path, FINE + evil + END), Unreadable)


@pytest.mark.fault("security: a tar whose extended header is written to confuse its reader")
@pytest.mark.parametrize(
    ("evil", "expected"),
    [
        (b"9" * 5000 + b" path=x\n", Refused),
        (records(("mtime", "1." + "1" * 100_000)), Refused),
        (records(("GNU.sparse.map", "a,b"), ("GNU.sparse.size", "5000")), Unreadable),
        (records(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "nan")), Unreadable),
        (b"0 path=x\n", Unreadable),
    ],
    ids=["a length of 5,000 digits", "a run of digits", "a map of words", "a size of words", "a record of no bytes"],
)
def test_an_extended_header_that_confuses_is_a_typed_error(tmp_path: Path, evil: bytes, expected: type[Trouble]) -> None:
    assert isinstance(refusal(tmp_path, FINE + extended(evil) + header(size=b"1000") + bytes(512) + END), expected)


@pytest.mark.fault("security: a tar whose extended header goes on in its padding, where only some readers look")
def test_records_behind_the_end_of_their_header_are_refused(tmp_path: Path) -> None:
    first, hidden = records(("path", "good")), records(("path", "evil"))
    size = b"%o" % len(first)
    data = FINE + header("PaxHeader", size=size, kind=b"x") + padded(first + hidden) + header("name") + END

    assert isinstance(refusal(tmp_path, data), Unreadable)
    system = subprocess.run(["tar", "-tf", tmp_path / "evil.tar"], capture_output=True, text=True, check=False)
    assert "evil" not in system.stdout


@pytest.mark.parametrize("time", ["nan", "sNaN", "-inf", "1e9999999", "-1e11", "1_0", "١٢", "-1.5", ""])
def test_a_time_that_is_none_is_not_the_end_of_an_archive(tmp_path: Path, time: str) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(FINE + extended(records(("mtime", time))) + header("odd") + END)

    assert extract(archive, tmp_path / "out").error is None

    assert (tmp_path / "out/odd").lstat().st_mtime in {0, -1.5, 10, 12, -1e11} or time.startswith("-1e")


def test_a_negative_mode_is_no_reason_to_try_again(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(FINE + header("odd", mode=b"-000001") + END)

    assert extract(archive, tmp_path / "out").error is None

    assert (tmp_path / "out/odd").stat().st_mode & 0o7022 == 0


@pytest.mark.fault("security: a sparse tar member of more holes than any disk has")
def test_holes_beyond_the_limits_are_refused_before_they_are_made(tmp_path: Path) -> None:
    places = (binary(0) + binary(512)).ljust(96, b"\0")
    rest = (bytes(41) + places + b"\0" + binary(1 << 62)).ljust(167, b"\0")
    evil = tmp_path / "evil.tar"
    evil.write_bytes(FINE + header(size=b"1000", kind=b"S", rest=rest) + b"D" * 512 + END)

    error, _ = refused_without_trace(tmp_path, lambda: extract(evil, tmp_path / "out"))

    assert isinstance(error, Refused)


def test_folders_a_thousand_deep_are_refused_and_listed_in_time(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as opened:
        for depth in range(1, 1001):
            info = tarfile.TarInfo("/".join("d" * depth))
            info.type = tarfile.DIRTYPE
            opened.addfile(info)
    evil = tmp_path / "evil.tar"
    evil.write_bytes(made.getvalue())

    error, _ = refused_without_trace(tmp_path, lambda: extract(evil, tmp_path / "out"))

    assert isinstance(error, Refused)
    assert list_(evil, limit=0).result.members == 1000
