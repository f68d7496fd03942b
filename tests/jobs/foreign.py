"""7z archives, as py7zr writes them and as nobody should; and rar archives, which only RAR writes."""

from __future__ import annotations

import ctypes.util
import importlib
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

py7zr: Any = importlib.import_module("py7zr")
rarfile: Any = importlib.import_module("rarfile")

needs_libarchive = pytest.mark.skipif(
    ctypes.util.find_library("archive") is None,
    reason="no libarchive here, which reads 7z and rar; run these tests with it (Debian: apt install libarchive13)",
)
RARS: Final = Path(__file__).with_name("rars")
METHODS: Final[dict[str, list[dict[str, Any]]]] = {
    "lzma2": [{"id": py7zr.FILTER_LZMA2, "preset": 6}],
    "lzma": [{"id": py7zr.FILTER_LZMA}],
    "bzip2": [{"id": py7zr.FILTER_BZIP2}],
    "deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "stored": [{"id": py7zr.FILTER_COPY}],
    "x86": [{"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_LZMA2, "preset": 6}],
    "delta": [{"id": py7zr.FILTER_DELTA}, {"id": py7zr.FILTER_LZMA2, "preset": 6}],
}
_START: Final = 32


def pack_7z(folder: Path, target: Path, *, method: str = "lzma2", **options: Any) -> Path:
    """A folder as py7zr packs it, in one solid block; its name is the first folder."""
    with py7zr.SevenZipFile(target, "w", filters=None if options else METHODS[method], **options) as opened:
        opened.writeall(str(folder), folder.name)
    return target


def seven_zip(target: Path, files: Mapping[str, bytes], *, method: str = "lzma2") -> Path:
    """Files with any names; those that py7zr does not take are written over others of the same length."""
    harmless = {name: f"{number:x}".rjust(len(name.encode("utf-16-le")) // 2, "_") for number, name in enumerate(files)}
    with py7zr.SevenZipFile(target, "w", filters=METHODS[method]) as opened:
        opened.set_encoded_header_mode(False)
        for name, data in files.items():
            opened.writestr(data, harmless[name])
    for name, stand_in in harmless.items():
        patch(target, stand_in.encode("utf-16-le") + b"\0\0", name.encode("utf-16-le") + b"\0\0")
    return target


def patch(archive: Path, old: bytes, new: bytes) -> None:
    """Change what a 7z says of its content, with all its sums right again."""
    whole = archive.read_bytes()
    offset, length = struct.unpack_from("<QQ", whole, 12)
    header = whole[_START + offset :]
    assert len(header) == length
    assert header.count(old) == 1
    assert len(old) == len(new)
    header = header.replace(old, new)
    start = struct.pack("<QQI", offset, length, zlib.crc32(header))
    archive.write_bytes(whole[:8] + struct.pack("<I", zlib.crc32(start)) + start + whole[_START : _START + offset] + header)
