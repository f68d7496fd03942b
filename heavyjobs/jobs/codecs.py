"""Archive formats by name and by content, and the compressed streams under them."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from heavyjobs.jobs.streams import Compression, Damaged, unpacked, zstd
from heavyjobs.jobs.trouble import Refused, TargetUnusable, Unreadable, stop
from heavyjobs.jobs.zip_end import is_program_with_zip

ZSTD_LEVEL: Final = 3
ZSTD_WORKERS: Final = 1
"""One worker thread already overlaps reading and compressing; more would take cores from other slots."""
GZIP_LEVEL: Final = 6
XZ_LEVEL: Final = 6
BZIP2_LEVEL: Final = 9


@dataclass(frozen=True, slots=True)
class Format:
    """How an archive is written.

    Attributes:
        name: for people, like `tar.zst`.
        container: 7z and rar are only read.
        suffixes: of file names, lower case.
    """

    name: str
    container: Literal["tar", "zip", "7z", "rar"]
    compression: Compression
    suffixes: tuple[str, ...]

    @property
    def holds_hardlinks(self) -> bool:
        """Whether it takes hard links; one that does not wants files instead."""
        return self.container == "tar"


TAR: Final = Format("tar", "tar", "none", (".tar",))
TAR_GZ: Final = Format("tar.gz", "tar", "gzip", (".tar.gz", ".tgz"))
TAR_ZST: Final = Format("tar.zst", "tar", "zstd", (".tar.zst", ".tzst"))
TAR_XZ: Final = Format("tar.xz", "tar", "xz", (".tar.xz", ".txz"))
TAR_BZ2: Final = Format("tar.bz2", "tar", "bzip2", (".tar.bz2", ".tbz2", ".tbz"))
ZIP: Final = Format("zip", "zip", "none", (".zip",))
SEVEN_ZIP: Final = Format("7z", "7z", "none", (".7z",))
RAR: Final = Format("rar", "rar", "none", (".rar",))
FORMATS: Final = (TAR, TAR_GZ, TAR_ZST, TAR_XZ, TAR_BZ2, ZIP)
_MAGIC: Final = (
    (b"PK\3\4", ZIP),
    (b"PK\5\6", ZIP),
    (b"\x1f\x8b", TAR_GZ),
    (b"\x28\xb5\x2f\xfd", TAR_ZST),
    (b"\xfd7zXZ\0", TAR_XZ),
    (b"BZh", TAR_BZ2),
    (b"7z\xbc\xaf\x27\x1c", SEVEN_ZIP),
    (b"Rar!\x1a\x07", RAR),
)


def format_of(target: str) -> Format:
    """The format that a target's name asks for.

    Raises:
        Stopped: TargetUnusable, saying which names would do.
    """
    found = next((known for known in FORMATS if target.lower().endswith(known.suffixes)), None)
    if found is None:
        names = ", ".join(suffix for known in FORMATS for suffix in known.suffixes)
        stop(TargetUnusable, "the name does not say an archive format", where=target, would_do=f"let it end in one of {names}")
    return found


def format_in(path: Path) -> Format:
    """The format that a file's content shows, whatever its name; what shows none is taken for a plain tar."""
    with path.open("rb") as file:
        start = file.read(6)
        known = next((known for magic, known in _MAGIC if start.startswith(magic)), None)
        return known or (ZIP if is_program_with_zip(file) else TAR)


@contextmanager
def reading(file: BinaryIO, compression: Compression, *, where: str) -> Generator[BinaryIO]:
    """The plain bytes of a compressed file, all its members, frames or streams one after the other.

    Raises:
        Stopped: NotInstalled; from any read inside the block: Unreadable, when the compressed data are damaged or end too
            early; Refused, when they ask for more memory than they should.
    """
    again = "fetch or make the file again"
    try:
        yield unpacked(file, compression)
    except EOFError:
        stop(Unreadable, f"the {compression} data end too early", where=where, would_do=again)
    except Damaged as error:
        if "memory" in str(error).lower():
            stop(
                Refused, f"the {compression} data need too much memory: {error}", where=where, would_do="compress it with less"
            )
        stop(Unreadable, f"the {compression} data are damaged: {error}", where=where, would_do=again)


class Compressed:
    """Compresses into a file, as one stream behind the other; each can be read without those that follow.

    RFC 1952 (gzip), RFC 8878 (zstd), the xz format and bzip2(1) all say that such streams are one.
    """

    def __init__(self, file: BinaryIO, compression: Compression) -> None:
        self._file: Final = file
        self._compression: Final[Compression] = compression
        self._opened: Final = ExitStack()
        self._stream: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        if self._stream is None:
            self._stream = self._opened.enter_context(_opened(self._file, self._compression))
        self._stream.write(data)

    def seal(self) -> None:
        """End the stream; what is written next begins another."""
        self._stream = None
        self._opened.close()


@contextmanager
def compressing(file: BinaryIO, compression: Compression) -> Generator[Compressed]:
    """What compresses into that file, whose last stream ends when the block is left."""
    stream = Compressed(file, compression)
    try:
        yield stream
    finally:
        stream.seal()


def _opened(file: BinaryIO, compression: Compression) -> AbstractContextManager[BinaryIO]:
    match compression:
        case "none":
            return nullcontext(file)
        case "gzip":
            stream = gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0)  # no name, no time: equal input, equal output
            return cast("AbstractContextManager[BinaryIO]", stream)
        case "zstd":
            return cast("AbstractContextManager[BinaryIO]", zstd().ZstdFile(file, "wb", options=_zstd_options()))
        case "xz":
            return cast("AbstractContextManager[BinaryIO]", lzma.LZMAFile(file, "wb", preset=XZ_LEVEL))
        case "bzip2":
            return cast("AbstractContextManager[BinaryIO]", bz2.BZ2File(file, "wb", compresslevel=BZIP2_LEVEL))


def _zstd_options() -> dict[int, int]:
    parameter = zstd().CompressionParameter
    workers = min(ZSTD_WORKERS, parameter.nb_workers.bounds()[1])
    return {parameter.compression_level: ZSTD_LEVEL, parameter.checksum_flag: 1, parameter.nb_workers: workers}
