"""Read one archive with libarchive in a process of its own, limited in memory, time and descriptors; print its members.

Run as a script, by its path: `child.py LIBRARY FORMAT DATA`, the archive being its standard input; FORMAT is `7z` or `rar`, and
DATA is `all`, `unsent` (read, to check it, but not sent), or `none` (passed over). It imports nothing of ours, so that it
starts in a tenth of the time. What it prints are frames: a letter, a length and so many bytes.

| letter | then |
| --- | --- |
| `M` | a member as JSON, with the raw bytes of its names in base64 |
| `D` | some of its bytes |
| `E` | nothing: that were all of its bytes |
| `W` | what is wrong with the archive, as JSON: nothing follows |
| `Z` | nothing: that was all of it |

Guarantees: after the library is loaded no file is opened, no socket, no pipe, whatever the archive makes of its parser.
"""

from __future__ import annotations

import base64
import ctypes
import json
import locale
import os
import resource
import struct
import sys
from contextlib import suppress
from typing import Any, BinaryIO, Final

MEMORY_BYTES: Final = 512 << 20
CPU_SECONDS: Final = 300
"""For one call of the library: to the next header, or the next block of bytes."""
BLOCKS_PER_LIMIT: Final = 64
"""So many calls have that time together."""
FRAME: Final = struct.Struct(">cI")
FRAME_MAX_BYTES: Final = 1 << 20
READ_BYTES: Final = 256 << 10
NO_LIBRARY: Final = 69
"""The exit code that says: no libarchive here, or one that is too old."""
NO_MEMORY: Final = 70

_EOF: Final = 1
_OK: Final = 0
_FILE: Final = 0o100000
_LOCALES: Final = ("C.UTF-8", "en_US.UTF-8", "UTF-8")
_FORMATS: Final = {"7z": ("7zip",), "rar": ("rar", "rar5")}


def limit() -> None:
    """From now on this process writes no file, and takes no more than its share."""
    limits = {resource.RLIMIT_DATA: MEMORY_BYTES, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    for what, most in limits.items():
        _at_most(what, most)


def close_the_door() -> None:
    """No descriptor can be made any more: no file is opened, no program started that would need one, nobody called."""
    _at_most(resource.RLIMIT_NOFILE, 0)


def _at_most(what: int, most: int) -> None:
    with suppress(ValueError, OSError):  # less is allowed already
        resource.setrlimit(what, (most, most))


def start_clock() -> None:
    """Give the library so much processor time from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def load(path: str) -> Any:
    """The library, with the shapes of the functions that take or give more than numbers."""
    library = ctypes.CDLL(path)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64
    shapes: dict[str, tuple[Any, list[Any]]] = {
        "read_new": (pointer, []),
        "read_open_fd": (ctypes.c_int, [pointer, ctypes.c_int, ctypes.c_size_t]),
        "read_next_header": (ctypes.c_int, [pointer, ctypes.POINTER(pointer)]),
        "read_data_block": (
            ctypes.c_int,
            [pointer, ctypes.POINTER(pointer), ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(number)],
        ),
        "read_has_encrypted_entries": (ctypes.c_int, [pointer]),
        "errno": (ctypes.c_int, [pointer]),
        "error_string": (text, [pointer]),
        "entry_pathname": (text, [pointer]),
        "entry_symlink": (text, [pointer]),
        "entry_hardlink": (text, [pointer]),
        "entry_filetype": (ctypes.c_uint, [pointer]),
        "entry_perm": (ctypes.c_uint, [pointer]),
        "entry_size": (number, [pointer]),
        "entry_size_is_set": (ctypes.c_int, [pointer]),
        "entry_mtime": (number, [pointer]),
        "entry_mtime_nsec": (ctypes.c_long, [pointer]),
        "entry_is_encrypted": (ctypes.c_int, [pointer]),
    }
    for name, (result, arguments) in shapes.items():
        function = getattr(library, f"archive_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class Broken(Exception):
    """The library says that something is wrong with the archive."""


class Archive:
    """The archive that standard input is.

    Raises:
        Broken: from all methods, for every negative answer, warnings too: a wrong sum is one.
        AttributeError: the library is too old to know the format.
    """

    def __init__(self, library: Any, form: str) -> None:
        self._library: Final = library
        self._archive: Final = library.archive_read_new()
        self._block, self._size = ctypes.c_void_p(), ctypes.c_size_t()
        self._offset = ctypes.c_int64()
        for name in _FORMATS[form]:
            support = library[f"archive_read_support_format_{name}"]
            support.argtypes = [ctypes.c_void_p]
            self._check(support(self._archive))

    def open(self) -> None:
        self._check(self._library.archive_read_open_fd(self._archive, 0, READ_BYTES))

    def next(self) -> dict[str, Any] | None:
        """The next member, None after the last."""
        entry = ctypes.c_void_p()
        start_clock()
        if self._check(self._library.archive_read_next_header(self._archive, ctypes.byref(entry))) == _EOF:
            return None
        of = self._library
        return {
            "name": _bytes(of.archive_entry_pathname(entry)),
            "symlink": _bytes(of.archive_entry_symlink(entry)),
            "hardlink": _bytes(of.archive_entry_hardlink(entry)),
            "type": of.archive_entry_filetype(entry),
            "mode": of.archive_entry_perm(entry),
            "size": of.archive_entry_size(entry) if of.archive_entry_size_is_set(entry) else None,
            "mtime_ns": of.archive_entry_mtime(entry) * 10**9 + of.archive_entry_mtime_nsec(entry),
            "encrypted": bool(of.archive_entry_is_encrypted(entry)),
        }

    def block(self) -> bytes | None:
        """More bytes of the member, perhaps none; None after the last. They have no holes in these formats."""
        block, size, offset = ctypes.byref(self._block), ctypes.byref(self._size), ctypes.byref(self._offset)
        if self._check(self._library.archive_read_data_block(self._archive, block, size, offset)) == _EOF:
            return None
        return ctypes.string_at(self._block, self._size.value) if self._size.value else b""

    def wrong(self) -> dict[str, Any]:
        """What the library said last."""
        text = self._library.archive_error_string(self._archive) or b""
        return {
            "errno": self._library.archive_errno(self._archive),
            "text": text.decode(errors="backslashreplace"),
            "encrypted": self._library.archive_read_has_encrypted_entries(self._archive) == 1,
        }

    def _check(self, answer: int) -> int:
        if answer not in {_OK, _EOF}:
            raise Broken
        return answer


def _bytes(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def send(out: BinaryIO, letter: bytes, data: bytes = b"") -> None:
    out.write(FRAME.pack(letter, len(data)))
    out.write(data)


def send_data(out: BinaryIO, archive: Archive, *, sent: bool) -> None:
    calls = 0
    while (block := archive.block()) is not None:
        for at in range(0, len(block) if sent else 0, FRAME_MAX_BYTES):
            send(out, b"D", block[at : at + FRAME_MAX_BYTES])
        calls += 1
        if calls % BLOCKS_PER_LIMIT == 0:
            start_clock()
    if sent:
        send(out, b"E")


def _has_bytes(member: dict[str, Any]) -> bool:
    return member["type"] == _FILE and member["hardlink"] is None and not member["encrypted"]


def print_members(out: BinaryIO, archive: Archive, data: str) -> None:
    try:
        archive.open()
        while (member := archive.next()) is not None:
            send(out, b"M", json.dumps(member).encode())
            if data != "none" and _has_bytes(member):
                send_data(out, archive, sent=data == "all")
        send(out, b"Z")
    except Broken:
        send(out, b"W", json.dumps(archive.wrong()).encode())


def use_utf8() -> None:
    """Names come in the locale's encoding, so let it be UTF-8 everywhere."""
    for name in _LOCALES:
        with suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)
            return


def main(library: str, form: str, data: str) -> None:
    limit()
    use_utf8()
    try:
        archive = Archive(load(library), form)
    except (OSError, AttributeError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(NO_LIBRARY)
    with open(1, "wb", READ_BYTES, closefd=False) as out:
        close_the_door()
        print_members(out, archive, data)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except MemoryError:
        os._exit(NO_MEMORY)
