"""Compressed files as their plain bytes: all members, frames or streams of a file, one after the other, to its very end.

What a decompressor may allocate is bounded, however much the data ask for. Zeros after the end are let through, as tapes and xz
leave them; anything else there is damage, as is an end that comes too early.
"""

from __future__ import annotations

import bz2
import importlib
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Final, Literal, NamedTuple, Protocol, TypeAlias, cast

from typing_extensions import Buffer, override

from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.trouble import NotInstalled, stop

Compression: TypeAlias = Literal["none", "gzip", "zstd", "xz", "bzip2"]

ZSTD_WINDOW_LOG_MAX: Final = 27
"""A window of 128 MiB: what a hostile stream may make us allocate."""
XZ_MEMORY_MAX_BYTES: Final = 192 << 20
"""For a dictionary of 128 MiB; `xz -9` needs 65 MiB."""
_INPUT_BYTES: Final = 128 << 10


class Damaged(Exception):
    """The data are not what the compression says."""


class Decoder(Protocol):
    """What the standard decompressors have in common, one for each member, frame or stream."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def unpacked(file: BinaryIO, compression: Compression) -> BinaryIO:
    """The plain bytes of a file.

    Raises:
        Damaged: from any read; EOFError when the data end too early.
        Stopped: NotInstalled.
    """
    if compression == "none":
        return file
    return cast("BinaryIO", io.BufferedReader(_Unpacking(file, codec_of(compression)), CHUNK_BYTES))


class Codec(NamedTuple):
    """What makes a decoder for the next member, frame or stream, and what it raises when the data are damaged."""

    new: Callable[[], Decoder]
    damage: type[Exception]


def codec_of(compression: Compression) -> Codec:
    """The decoders for a compression."""
    match compression:
        case "xz":
            return Codec(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_MAX_BYTES), lzma.LZMAError)
        case "bzip2":
            return Codec(bz2.BZ2Decompressor, OSError)
        case "zstd":
            module = zstd()
            options = {module.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}
            return Codec(lambda: cast("Decoder", module.ZstdDecompressor(options=options)), module.ZstdError)
        case _:
            return gzip_codec()


def gzip_codec() -> Codec:
    """ISA-L where it is installed, three times as fast as zlib."""
    try:
        igzip: Any = importlib.import_module("isal.igzip_lib")
    except ImportError:
        return Codec(Gunzip, zlib.error)
    return Codec(lambda: cast("Decoder", igzip.IgzipDecompressor(flag=igzip.DECOMP_GZIP)), igzip.IsalError)


class Gunzip:
    """zlib's decompressor with the face of the others."""

    def __init__(self) -> None:
        self._zlib: Final = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._may_hold_more = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not (self.eof or self._may_hold_more)

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        plain = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self._may_hold_more = bool(self._zlib.unconsumed_tail) or len(plain) == max_length
        return plain


class _Unpacking(io.RawIOBase):
    def __init__(self, file: BinaryIO, codec: Codec) -> None:
        self._file: Final = file
        self._codec: Final = codec
        self._decoder = codec.new()
        self._next = b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        room = memoryview(buffer)
        plain = b""
        while not plain and (not self._decoder.eof or self._has_another()):
            plain = self._piece(len(room))
        room[: len(plain)] = plain
        return len(plain)

    def _has_another(self) -> bool:
        """Whether more than zeros follow what has ended; then a new decoder stands ready for it."""
        rest = self._decoder.unused_data
        while not (rest := rest.lstrip(b"\0")):
            if not (rest := self._file.read(_INPUT_BYTES)):
                return False
        self._decoder, self._next = self._codec.new(), rest
        return True

    def _piece(self, size: int) -> bytes:
        data, self._next = self._next, b""
        if not data and self._decoder.needs_input and not (data := self._file.read(_INPUT_BYTES)):
            raise EOFError
        try:
            return self._decoder.decompress(data, size)
        except self._codec.damage as error:  # bz2's is an OSError, but none of a disk: the file is read elsewhere
            raise Damaged(str(error)) from None


def zstd() -> Any:
    """The standard module, or its backport, which has the same face."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        return importlib.import_module(name)
    except ImportError:
        stop(NotInstalled, f"zstd needs {name}", where="this host", would_do="pip install heavyjobs[archives]")
