"""Whether a 7z file is whole and nothing else: it says where its directory ends, and that has to be the end of the file."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import BinaryIO, Final, NoReturn

Fault = Callable[[str], NoReturn]

_START: Final = struct.Struct("<6s2sIQQI")
"""Of 7zFormat.txt: signature, version, a sum of what follows, then the directory's offset from here, its size and its sum."""


def check_7z(file: BinaryIO, *, fault: Fault) -> None:
    """Look at both ends of the file; `fault` is called with what is wrong."""
    size = os.fstat(file.fileno()).st_size
    start = os.pread(file.fileno(), _START.size, 0)
    if len(start) < _START.size:
        fault("is truncated")
    _, _, _, offset, length, _ = _START.unpack(start)
    end = _START.size + offset + length
    if end > size:
        fault("is truncated, or the first part of an archive that is in several files")
    if end < size:
        fault(f"holds {size - end:,} more bytes after its end")
