"""The manifest: which chunks, in which order, make a file. JSON, one value a line, so that a million chunks stream.

    {"format":"heavyjobs.chunks","version":1,"digest":"sha256","algorithm":{"name":"fixed","chunk_bytes":1048576}}
    {"offset":0,"bytes":1048576,"sha256":"d4f0…"}
    {"offset":1048576,"bytes":512,"sha256":"07ab…"}
    {"chunks":2,"bytes":1049088,"lines_sha256":"93c1…"}

The first line says what it is, the last one that it is whole: `lines_sha256` is what `sed '$d' MANIFEST | sha256sum` prints.
Each line between is a chunk; its offset is the sum of the sizes before it, so a line that was lost, doubled or moved is found
where that happened. No name and no time is in it: equal content, cut alike, gives equal manifests.

A reader refuses a version that it does not know. Nothing in a manifest is a path: a digest is 64 hex digits or it is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal, NoReturn, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from heavyjobs.jobs.chunks.cutting import CHUNK_MAX_BYTES, Algorithm
from heavyjobs.jobs.places import open_regular
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.trouble import SourceChanged, Unreadable, shown, stop

VERSION: Final = 1
LINE_MAX_BYTES: Final = 1024
CHUNKS_MAX: Final = 10_000_000
"""In one manifest, which then has about a GB."""

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, strict=True)
_WOULD_DO: Final = "make it again with chunk.split"

Digest: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")]


class Head(BaseModel):
    """The first line."""

    model_config = _STRICT

    format: Literal["heavyjobs.chunks"] = "heavyjobs.chunks"
    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    digest: Literal["sha256"] = "sha256"
    algorithm: Algorithm


class Entry(BaseModel):
    """A chunk: where it goes in the file, and what it is."""

    model_config = _STRICT

    offset: Annotated[int, Field(ge=0, lt=1 << 63)]
    bytes: Annotated[int, Field(ge=1, le=CHUNK_MAX_BYTES)]
    sha256: Digest


class Tail(BaseModel):
    """The last line: how many chunks and bytes came, and the SHA-256 of all lines before."""

    model_config = _STRICT

    chunks: Annotated[int, Field(ge=0, le=CHUNKS_MAX)]
    bytes: Annotated[int, Field(ge=0, lt=1 << 63)]
    lines_sha256: Digest


@dataclass(frozen=True, slots=True)
class Position:
    """Between two lines: where in the manifest, and what the lines before it sum up to."""

    at: int
    chunks: int = 0
    offset: int = 0

    def after(self, entry: Entry, line: bytes) -> Position:
        return Position(self.at + len(line), self.chunks + 1, self.offset + entry.bytes)


def line_of(model: BaseModel) -> bytes:
    """As it stands in a manifest."""
    return model.model_dump_json().encode() + b"\n"


def entry_line(offset: int, size: int, sha256: str) -> bytes:
    """`line_of` an entry; a tenth of its price."""
    return b'{"offset":%d,"bytes":%d,"sha256":"%s"}\n' % (offset, size, sha256.encode())


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry, the number of its line from 1, and the position after it."""

    entry: Entry
    line: int
    after: Position


class Manifest:
    """A manifest that is whole and sound; what it names need not be.

    Attributes:
        where: for errors.
        start: the position of the first chunk.
    """

    def __init__(self, file: BinaryIO, *, where: str, meter: Meter) -> None:
        """Read it all.

        Raises:
            Stopped: Unreadable.
        """
        self._file: Final = file
        self._status: Final = os.fstat(file.fileno())
        self.where: Final = where
        meter.start("reading the manifest", total=self._status.st_size)
        line = self._file.readline(LINE_MAX_BYTES + 1)
        self.head: Final = self._head(line)
        self.start: Final = Position(at=len(line))
        self.tail: Final = self._survey(line, meter)

    def listed(self, since: Position) -> Iterator[Listed]:
        """Each chunk from there on.

        Raises:
            Stopped: SourceChanged, when it is not any more what was read first.
        """
        self._file.seek(since.at)
        position = since
        while position.chunks < self.tail.chunks:
            listed = self._entry(self._line(position), position)
            position = listed.after
            yield listed
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._status.st_size, self._status.st_mtime_ns):
            stop(SourceChanged, "changed while it was read", where=self.where, would_do="try again when nobody writes to it")

    def _head(self, line: bytes) -> Head:
        try:
            return Head.model_validate_json(line)
        except ValidationError as error:
            what = f"is not a manifest of chunks that this release reads: {_first(error)}"
            stop(Unreadable, what, where=self.where, would_do="check the path, and which release made it")

    def _survey(self, head: bytes, meter: Meter) -> Tail:
        """Hold every line against those before it, and the last one against all."""
        digest, position = hashlib.sha256(head), self.start
        line = self._line(position)
        while following := self._file.readline(LINE_MAX_BYTES + 1):
            position = self._entry(line, position).after
            digest.update(line)
            meter.at(position.at)
            if position.chunks > CHUNKS_MAX:
                self._unreadable(position, f"is one chunk more than the {CHUNKS_MAX:,} that a manifest may name")
            line = following
        meter.end()
        return self._tail(line, position, digest.hexdigest())

    def _tail(self, line: bytes, position: Position, lines_sha256: str) -> Tail:
        if not line.endswith(b"\n"):
            self._unreadable(position, "is cut off, or too long")
        try:
            tail = Tail.model_validate_json(line)
        except ValidationError as error:
            self._unreadable(position, f"is the last one and should say that all is there, but {_first(error)}")
        if tail != Tail(chunks=position.chunks, bytes=position.offset, lines_sha256=lines_sha256):
            self._unreadable(position, "says other sums than its chunks give: lines were changed")
        return tail

    def _line(self, position: Position) -> bytes:
        line = self._file.readline(LINE_MAX_BYTES + 1)
        if not line:
            self._unreadable(position, "is missing: the manifest is cut off")
        return line

    def _entry(self, line: bytes, before: Position) -> Listed:
        if not line.endswith(b"\n"):
            self._unreadable(before, f"is cut off, or longer than {LINE_MAX_BYTES} bytes")
        try:
            entry = Entry.model_validate_json(line)
        except ValidationError as error:
            self._unreadable(before, f"is not a chunk: {_first(error)}")
        if entry.offset != before.offset:
            lies = "overlaps the chunk before it" if entry.offset < before.offset else "leaves a gap after the chunk before it"
            self._unreadable(before, f"{lies}: its offset is {entry.offset}, which should be {before.offset}")
        return Listed(entry, before.chunks + 2, before.after(entry, line))

    def _unreadable(self, before: Position, what: str) -> NoReturn:
        stop(Unreadable, what, where=f"{self.where} line {before.chunks + 2}", would_do=_WOULD_DO)


@contextmanager
def opened_manifest(path: Path, *, where: str, meter: Meter) -> Generator[Manifest]:
    """Open a manifest, and read it to its end.

    Raises:
        Stopped: Unreadable.
    """
    with open_regular(path.resolve()) as file:
        yield Manifest(file, where=where, meter=meter)


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    return shown(f"{place}: {found['msg']}" if place else found["msg"])
