"""Zip members with a second name, in Unicode (Info-ZIP's extra field 0x7075), beside what unzip makes of them."""

from __future__ import annotations

import os
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from tests.jobs.archives import extract
from tests.jobs.folders import listing
from tests.jobs.test_zip_ends import refusal


def unicode_path(raw: bytes, name: bytes, *, version: int = 1, crc: int | None = None) -> bytes:
    field = struct.pack("<BI", version, zlib.crc32(raw) if crc is None else crc) + name
    return struct.pack("<HH", 0x7075, len(field)) + field


def zipped(raw: bytes, central: bytes, local: bytes | None = None, *, system: int = 0) -> bytes:
    """A zip of one member, with these extra fields in its two headers."""
    local, data = central if local is None else local, b"data"
    sizes = (zlib.crc32(data), len(data), len(data), len(raw))
    front = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0x21, *sizes, len(local)) + raw + local + data
    numbers = (20, system, 20, 0, 0, 0, 0x21)
    directory = struct.pack("<4s2B5H3I5H2I", b"PK\1\2", *numbers, *sizes, len(central), 0, 0, 0, 0, 0) + raw + central
    return front + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(front), 0)


@pytest.mark.fault("security: a zip member with two names, in its code page and in Unicode, of which readers choose one")
@pytest.mark.parametrize(
    ("raw", "central", "local"),
    [
        (b"good", b"evil", b"evil"),
        (b"good", b"../evil", b"../evil"),
        (b"good", b"evil", None),
        (b"good", None, b"evil"),
        (b"g\x81od", b"one", b"other"),
        (b"g\x81od", b"../evil", b"../evil"),
        (b"g\x81od", b"/evil", b"/evil"),
        (b"g\x81od", b"folder/", b"folder/"),
        (b"g\x81od", b"\xff\xfe", b"\xff\xfe"),
        (b"g\x81od", b"a\0b", b"a\0b"),
    ],
)
def test_a_second_name_that_contradicts_is_refused(
    tmp_path: Path, raw: bytes, central: bytes | None, local: bytes | None
) -> None:
    made = [b"" if name is None else unicode_path(raw, name) for name in (central, local)]

    refusal(tmp_path, zipped(raw, *made))


@pytest.mark.parametrize("system", [0, 3])
def test_a_name_that_its_code_page_cannot_say_is_the_one_in_unicode(tmp_path: Path, system: int) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(b"g\x81od", unicode_path(b"g\x81od", "güd 日本".encode()), system=system))
    (tmp_path / "system").mkdir()

    assert extract(archive, tmp_path / "out").error is None

    argv = ["unzip", "-q", str(archive), "-d", str(tmp_path / "system")]
    subprocess.run(argv, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert listing(tmp_path / "out") == listing(tmp_path / "system")
    assert [*listing(tmp_path / "out")] == ["güd 日本"]


@pytest.mark.parametrize(
    "extra",
    [
        unicode_path(b"good", b"good"),
        unicode_path(b"good", b"evil", crc=1),
        unicode_path(b"good", b"evil", version=2),
        struct.pack("<HH", 0x7075, 2) + b"\1\0",
    ],
    ids=["the same", "of an older name", "of another version", "cut off"],
)
def test_a_second_name_that_says_nothing_else_is_let_through(tmp_path: Path, extra: bytes) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(b"good", extra))

    assert extract(archive, tmp_path / "out").error is None

    assert [*listing(tmp_path / "out")] == ["good"]
