"""The name of a zip's member, which may stand there twice: in the code page of whoever made it, and in Unicode.

Info-ZIP's extra field 0x7075 (appnote 4.6.9) is believed by unzip and by some releases of `zipfile`, and unknown to others. So
it is the name where the other one could not say it, and nothing is read where it could.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from typing import Final
from zlib import crc32

from heavyjobs.jobs.members import name_fault

UNICODE_PATH: Final = 0x7075
_UTF8: Final = 0x800
_UNIX: Final = 3


def name_bytes(info: zipfile.ZipInfo) -> bytes:
    """The name as it stands in the directory."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")


def name_of(info: zipfile.ZipInfo) -> str:
    """The name that counts, of a member without `names_fault`: as the system had it that made the archive, on Unix bytes."""
    raw = name_bytes(info)
    if (unicode := _unicode_path(info.extra, raw)) is not None:
        return unicode.decode()
    if info.create_system != _UNIX or info.flag_bits & _UTF8:
        return info.orig_filename
    return raw.decode(errors="surrogateescape")


def names_fault(info: zipfile.ZipInfo, raw: bytes, local_extra: bytes) -> str | None:
    """What is wrong with the Unicode names in the two headers of a member with that name, or None."""
    found = {_unicode_path(extra, raw) for extra in (info.extra, local_extra)}
    unicode = next(iter(found - {None}), None)
    if unicode is None or found <= {raw, None}:
        return None
    if len(found) > 1:
        return "has two names, by its two headers"
    if raw.isascii() or info.flag_bits & _UTF8 or raw.endswith(b"/") != unicode.endswith(b"/"):
        return "has two names, one of them in Unicode"
    try:
        fault = name_fault(unicode.decode())
    except UnicodeDecodeError:
        return "has a name in Unicode that is none"
    return f"{fault}, in Unicode" if fault else None


def fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of an extra area, by their tags; what is cut off at its end is left out."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if at + 4 + length <= len(extra):
            yield tag, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    """The first that is about this name: one with another sum was made for an older name, and does not count."""
    for tag, field in fields(extra):
        if tag == UNICODE_PATH and len(field) > 5 and field[0] == 1 and int.from_bytes(field[1:5], "little") == crc32(raw):
            return field[5:]
    return None
