"""Archives with wrong bytes: converted, extracted, or refused with the typed error; never half a target, or another error."""

from __future__ import annotations

import bz2
import errno
import gzip
import importlib
import io
import lzma
import os
import resource
import stat
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.jobs import Convert, Extract
from heavyjobs.testing.inline import Inline, run_inline
from tests.fuzz.effort import effort

MOST_BYTES: Final = 32 << 20
"""Of any file here: a sparse member may say that it is as large as it likes, and the disk is the limit."""

FORMATS: Final = ("tar", "tar.gz", "tar.zst", "tar.xz", "tar.bz2", "zip")
BLOCK: Final = 512
NUMBERS: Final = st.sampled_from(
    [b"\0", b"\xff", b"\x80" + b"\xff" * 7, b"\x7f\xff\xff\xff", b"77777777777\0", b"-1", b"../", b"/"]
)
WOUNDS: Final = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.integers(0, 12), NUMBERS | st.binary(max_size=12)), min_size=1, max_size=4
)
"""Each a place, how many bytes go there, and what comes instead."""

TYPES: Final = st.sampled_from([b"S", b"x", b"L", b"K", b"g", b"3", b"6"])
LIES: Final = st.lists(st.tuples(st.integers(0, 500), NUMBERS) | st.tuples(st.just(156), TYPES), min_size=1, max_size=3)
"""In a header, whose byte 156 says what the member is."""

TARGETS: Final = st.sampled_from(["out.tar", "out.zip", "out"])
"""The last is a folder."""

MEMBERS: Final = (
    ("dir", tarfile.DIRTYPE),
    ("dir/a", tarfile.REGTYPE),
    ("ü" * 80, tarfile.REGTYPE),
    ("dir/l", tarfile.SYMTYPE),
    ("dir/h", tarfile.LNKTYPE),
)


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, sort in MEMBERS:
            info = tarfile.TarInfo(name)
            info.type, info.mtime = sort, 1_700_000_000.25
            info.linkname = "dir/a" if sort in {tarfile.SYMTYPE, tarfile.LNKTYPE} else ""
            data = b"content " * 100 if sort == tarfile.REGTYPE else b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def zip_() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("dir/a", b"content " * 100, compress_type=zipfile.ZIP_DEFLATED)
        archive.writestr("stored", b"x" * 50, compress_type=zipfile.ZIP_STORED)
        link = zipfile.ZipInfo("dir/l")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "a")
        archive.mkdir("empty")
    return file.getvalue()


zstd: Any = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
TAR: Final = tar()
WHOLE: Final = {
    "tar": TAR,
    "tar.gz": gzip.compress(TAR),
    "tar.zst": zstd.compress(TAR),
    "tar.xz": lzma.compress(TAR),
    "tar.bz2": bz2.compress(TAR),
    "zip": zip_(),
}


@pytest.fixture(scope="module", autouse=True)
def small_disk() -> Iterator[None]:
    """No file here may grow for ever."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archives")


def wounded(whole: bytes, wounds: list[tuple[int, int, bytes]], keep: int) -> bytes:
    data = bytearray(whole)
    for anywhere, length, instead in wounds:
        place = anywhere % (len(data) + 1)
        data[place : place + length] = instead
    return bytes(data[:keep])


@pytest.mark.fault("input: an archive with wrong bytes")
@pytest.mark.parametrize("form", FORMATS)
@effort(60)
@given(
    wounds=WOUNDS,
    keep=st.sampled_from([1 << 20, 1 << 20, 1 << 20, 0, 3, 100, 700]),
    into=TARGETS,
)
def test_a_wounded_archive_is_converted_or_refused(
    folder: Path, form: str, wounds: list[tuple[int, int, bytes]], keep: int, into: str
) -> None:
    _convert(folder, wounded(WHOLE[form], wounds, keep), into)


@pytest.mark.fault("input: an archive whose headers lie")
@effort(150)
@given(block=st.integers(0, len(TAR) // BLOCK), wounds=LIES, into=TARGETS)
def test_a_tar_whose_headers_lie_is_converted_or_refused(
    folder: Path, block: int, wounds: list[tuple[int, bytes]], into: str
) -> None:
    data = bytearray(TAR)
    header = data[block * BLOCK : (block + 1) * BLOCK]
    for place, instead in wounds:
        header[place : place + len(instead)] = instead
    if len(header) >= BLOCK:
        # So that it is believed: the checksum, which counts itself as spaces.
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:BLOCK])
    data[block * BLOCK : (block + 1) * BLOCK] = header

    _convert(folder, bytes(data), into)


@effort(100)
@given(
    place=st.integers(0, 400),
    size=st.sampled_from([1, 2, 4, 8]),
    instead=st.sampled_from([0, 0xFF, 0x7F, 0x80, 1]),
    into=TARGETS,
)
def test_a_zip_whose_directory_lies_is_converted_or_refused(
    folder: Path, place: int, size: int, instead: int, into: str
) -> None:
    data = bytearray(WHOLE["zip"])
    start = data.index(b"PK\1\2") + place % (len(data) - data.index(b"PK\1\2"))
    data[start : start + size] = bytes([instead]) * size

    _convert(folder, bytes(data), into)


def _convert(parent: Path, data: bytes, into: str) -> None:
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        _convert_in(Path(folder), data, into)


def _convert_in(folder: Path, data: bytes, into: str) -> None:
    source, target = folder / "in.bin", folder / into
    source.write_bytes(data)
    places = {"source": str(source), "target": str(target)}
    try:
        done: Inline[Any, Any, Any] = run_inline(Convert(**places)) if target.suffix else run_inline(Extract(**places))
        made = {target.name} if done.error is None else set[str]()
        assert done.error is not None or done.result.bytes == _size(target)
    except OSError as error:  # of the disk, as the small one has it
        assert error.errno == errno.EFBIG, error  # noqa: PT017
        made = set()

    assert {path.name for path in folder.iterdir()} == {source.name, *made}


def _size(target: Path) -> int:
    """Of a file, or of all files in a folder; one that has several names counts once."""
    folders = os.walk(target)  # unlike rglob it bears symlinks to names that are too long to be
    paths = [Path(folder, name) for folder, _, names in folders for name in names] if target.is_dir() else [target]
    return sum({status.st_ino: status.st_size for path in paths if stat.S_ISREG((status := path.lstat()).st_mode)}.values())
