"""Where to cut: at every so many bytes, or where the content says so (FastCDC), so that an insertion moves only cuts near it.

Both cut the rest of a file after any boundary just as they would have cut it within the whole: that is what makes resuming
exact. What was used is in the manifest; another release of the package that cuts otherwise is caught by the tests' golden cuts.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field

from heavyjobs.jobs.trouble import NotInstalled, stop

CHUNK_MAX_BYTES: Final = 16 << 20
"""Of any chunk, whatever cut it: as much is held in memory at once."""

AVERAGE_MIN_BYTES: Final = 1 << 10
AVERAGE_MAX_BYTES: Final = 4 << 20

Method: TypeAlias = Literal["fastcdc", "fixed"]
_Bytes: TypeAlias = Annotated[int, Field(ge=1, le=CHUNK_MAX_BYTES)]


class Fixed(BaseModel):
    """Every chunk has this size, the last one what is left."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Literal["fixed"] = "fixed"
    chunk_bytes: _Bytes


class FastCdc(BaseModel):
    """FastCDC as its paper of 2020 has it (doi 10.1109/TPDS.2020.2984632), with the gear table and masks of fastcdc-rs.

    A cut needs fewer zero bits of the rolling hash once the chunk is larger than the average; `normalization` says how many.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Literal["fastcdc-2020"] = "fastcdc-2020"
    minimum_bytes: _Bytes
    average_bytes: _Bytes
    maximum_bytes: _Bytes
    normalization: Annotated[int, Field(ge=0, le=3)] = 1
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0


Algorithm: TypeAlias = Annotated[Fixed | FastCdc, Discriminator("name")]


class Stream(Protocol):
    """Bytes that come; 0 at the end."""

    def readinto(self, buffer: memoryview, /) -> int: ...


def algorithm_for(method: Method, chunk_bytes: int) -> Fixed | FastCdc:
    """Chunks of that size, or of a quarter of it to four times as much, on average somewhat more than it."""
    if method == "fixed":
        return Fixed(chunk_bytes=chunk_bytes)
    return FastCdc(minimum_bytes=chunk_bytes // 4, average_bytes=chunk_bytes, maximum_bytes=chunk_bytes * 4)


def fewest_chunks(size: int, algorithm: Fixed | FastCdc) -> int:
    """How many a file of that size has at least."""
    largest = algorithm.chunk_bytes if isinstance(algorithm, Fixed) else algorithm.maximum_bytes
    return -(-size // largest)


def cut(stream: Stream, algorithm: Fixed | FastCdc) -> Iterator[memoryview]:
    """The chunks of all that comes, in order; each is valid until the next one is asked for.

    Raises:
        Stopped: NotInstalled.
    """
    return _cut_fixed(stream, algorithm.chunk_bytes) if isinstance(algorithm, Fixed) else _cut_by_content(stream, algorithm)


def _cut_fixed(stream: Stream, size: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(size))
    filled = size
    while filled == size:
        filled = 0
        while filled < size and (read := stream.readinto(buffer[filled:])):
            filled += read
        if filled:
            yield buffer[:filled]


def _cut_by_content(stream: Stream, how: FastCdc) -> Iterator[memoryview]:
    cutter = _pyfastcdc().FastCDC(
        how.average_bytes,
        min_size=how.minimum_bytes,
        max_size=how.maximum_bytes,
        normalized_chunking=how.normalization,
        seed=how.seed,
    )
    for chunk in cutter.cut_stream(stream):
        yield chunk.data


def _pyfastcdc() -> Any:
    try:
        return importlib.import_module("pyfastcdc")
    except ImportError:
        stop(NotInstalled, "FastCDC needs pyfastcdc", where="this host", would_do="pip install heavyjobs[chunks]")
