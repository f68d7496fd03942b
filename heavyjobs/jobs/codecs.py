"""Archive formats by name and by content, and the compressed streams under them."""

from __future__ import annotations

import gzip
import importlib
import sys
import zlib
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypeAlias, cast

from heavyjobs.jobs.trouble import NotInstalled, TargetUnusable, Unreadable, stop

Compression: TypeAlias = Literal["none", "gzip", "zstd"]

ZSTD_LEVEL: Final = 3
ZSTD_WORKERS: Final = 1
"""One worker thread already overlaps reading and compressing; more would take cores from other slots."""
ZSTD_WINDOW_LOG_MAX: Final = 27
"""A window of 128 MiB: what a hostile stream may make us allocate."""
GZIP_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Format:
    """How an archive is written.

    Attributes:
        name: for people, like `tar.zst`.
        suffixes: of file names, lower case.
    """

    name: str
    container: Literal["tar", "zip"]
    compression: Compression
    suffixes: tuple[str, ...]


TAR: Final = Format("tar", "tar", "none", (".tar",))
TAR_GZ: Final = Format("tar.gz", "tar", "gzip", (".tar.gz", ".tgz"))
TAR_ZST: Final = Format("tar.zst", "tar", "zstd", (".tar.zst", ".tzst"))
ZIP: Final = Format("zip", "zip", "none", (".zip",))
FORMATS: Final = (TAR, TAR_GZ, TAR_ZST, ZIP)
_MAGIC: Final = ((b"PK\3\4", ZIP), (b"PK\5\6", ZIP), (b"\x1f\x8b", TAR_GZ), (b"\x28\xb5\x2f\xfd", TAR_ZST))


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
        start = file.read(4)
    return next((known for magic, known in _MAGIC if start.startswith(magic)), TAR)


@contextmanager
def reading(file: BinaryIO, compression: Compression, *, where: str) -> Generator[BinaryIO]:
    """The plain bytes of a compressed file, all its members or frames one after the other.

    Raises:
        Stopped: Unreadable, from any read inside the block, when the compressed data are damaged or end too early.
    """
    try:
        with _decompressing(file, compression) as stream:
            yield stream
    except EOFError:
        stop(Unreadable, f"the {compression} data end too early", where=where, would_do="fetch or make the file again")
    except _damages(compression) as error:
        stop(Unreadable, f"the {compression} data are damaged: {error}", where=where, would_do="fetch or make the file again")


@contextmanager
def writing(file: BinaryIO, compression: Compression) -> Generator[BinaryIO]:
    """A stream that compresses into `file`, complete when the block is left cleanly."""
    with _compressing(file, compression) as stream:
        yield stream


def _decompressing(file: BinaryIO, compression: Compression) -> AbstractContextManager[BinaryIO]:
    match compression:
        case "none":
            return nullcontext(file)
        case "gzip":
            return cast("AbstractContextManager[BinaryIO]", gzip.GzipFile(fileobj=file, mode="rb"))
        case "zstd":
            module = zstd()
            options = {module.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}
            return cast("AbstractContextManager[BinaryIO]", module.ZstdFile(file, "rb", options=options))


def _compressing(file: BinaryIO, compression: Compression) -> AbstractContextManager[BinaryIO]:
    match compression:
        case "none":
            return nullcontext(file)
        case "gzip":
            stream = gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0)  # no name, no time: equal input, equal output
            return cast("AbstractContextManager[BinaryIO]", stream)
        case "zstd":
            return cast("AbstractContextManager[BinaryIO]", zstd().ZstdFile(file, "wb", options=_zstd_options()))


def _damages(compression: Compression) -> tuple[type[Exception], ...]:
    return (zstd().ZstdError,) if compression == "zstd" else (gzip.BadGzipFile, zlib.error)


def _zstd_options() -> dict[int, int]:
    parameter = zstd().CompressionParameter
    workers = min(ZSTD_WORKERS, parameter.nb_workers.bounds()[1])
    return {parameter.compression_level: ZSTD_LEVEL, parameter.checksum_flag: 1, parameter.nb_workers: workers}


def zstd() -> Any:
    """The standard module, or its backport, which has the same face."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        return importlib.import_module(name)
    except ImportError:
        stop(NotInstalled, f"zstd needs {name}", where="this host", would_do="pip install heavyjobs[archives]")
