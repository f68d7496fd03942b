"""`chunk.split`: a file into chunks that are stored once each, and the manifest that names them."""

from __future__ import annotations

import hashlib
from typing import ClassVar, Final

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.chunks.cutting import (
    AVERAGE_MAX_BYTES,
    AVERAGE_MIN_BYTES,
    Algorithm,
    FastCdc,
    Fixed,
    Method,
    algorithm_for,
    cut,
    fewest_chunks,
)
from heavyjobs.jobs.chunks.manifest import CHUNKS_MAX, Head, Tail, entry_line, line_of
from heavyjobs.jobs.chunks.source import Identity, Source, opened_source
from heavyjobs.jobs.chunks.store import ChunkStore, NewChunks, opened_store, store_to_fill
from heavyjobs.jobs.chunks.unfinished import Unfinished, unfinished
from heavyjobs.jobs.places import check_other, source_file, target_path
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import Refused, Trouble, shown, stop, typed
from heavyjobs.locations import Place
from heavyjobs.units import show_bytes


class Stored(BaseModel):
    """What was split, and how much of it had to be stored.

    Attributes:
        target: the manifest, as the parameters say it. path: where that is on the host that wrote it.
        bytes, chunks: of the file; new_bytes, new_chunks: of what was stored anew; the rest was there already, or came twice.
        sha256: of the manifest, which is the same for equal content that is cut alike.
    """

    target: str
    path: str
    algorithm: Algorithm
    bytes: int
    chunks: int
    new_bytes: int
    new_chunks: int
    sha256: str


class Split(Job[Stored, Progress, Trouble], kind="chunk.split"):
    """Cut a file into chunks, store each under its SHA-256 in the folder `chunks`, and name them in order in a manifest.

    Equal chunks are stored once, whichever file or job they come from: a rerun stores nothing, a file that grew stores its new
    part, and with `fastcdc` one that had something inserted stores what is around it. What was stored stays when a job fails
    or is cancelled. After a crash it goes on from a boundary: at most 64 MiB of new chunks, or 256 MiB of known ones, are done
    again, and may then count as known.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | the source changes while it is read | `SourceChanged` | yes |
    | more than 10 million chunks; the source as target | `Refused` | no |
    | a place that is not open to jobs; symlinks in the folder of chunks | `Refused` | no |
    | the target exists, and `overwrite` is false; a file in place of the folder of chunks | `TargetTaken` | no |
    | no folder to write to, a name that is too long | `TargetUnusable` | no |
    | the package for FastCDC is missing here | `NotInstalled` | yes |
    | the disk is full, I/O errors | the exception itself | yes |
    """

    source: Place
    target: Place = Field(description="the manifest that is written")
    chunks: Place = Field(description="the folder that chunks are stored in, made if it is missing")
    method: Method = Field(default="fastcdc", description="cut where the content says so, or at every chunk_bytes")
    chunk_bytes: int = Field(
        default=1 << 20,
        ge=AVERAGE_MIN_BYTES,
        le=AVERAGE_MAX_BYTES,
        description="of a chunk; with fastcdc somewhat more on average",
    )
    compare: bool = Field(default=False, description="read chunks that are there already, and replace damaged ones")
    overwrite: bool = False

    config = JobConfig(timeout=None, memory=None)
    interval_bytes: ClassVar[int] = 64 << 20

    def run(self, ctx: Context[Progress, Trouble]) -> Stored:
        with typed(ctx, target=self.target):
            path = source_file(ctx.locations, self.source, instead="pack it first, with archive.pack")
            target = target_path(ctx.locations, self.target, overwrite=self.overwrite)
            check_other(path, target, where=self.target)
            folder = store_to_fill(ctx.locations, self.chunks)
            with (
                opened_source(path, where=self.source) as source,
                opened_store(folder, where=self.chunks) as store,
                unfinished(folder, ctx.claim, shield=ctx.shielded) as kept,
            ):
                splitting = _Splitting(ctx, self, source, store, kept)
                splitting.split()
                sha256 = splitting.publish()
            mark = splitting.mark
            new, whole = show_bytes(mark.new_bytes), show_bytes(mark.offset)
            logger.info(
                "split {}: {:,} chunks, {}; stored anew: {:,}, {}", shown(self.source), mark.chunks, whole, mark.new_chunks, new
            )
            return Stored(
                target=self.target,
                path=str(target),
                algorithm=mark.algorithm,
                bytes=mark.offset,
                chunks=mark.chunks,
                new_bytes=mark.new_bytes,
                new_chunks=mark.new_chunks,
                sha256=sha256,
            )


class _Mark(BaseModel):
    """How far it is: a boundary, all chunks before it in the store, their lines in the list of that claim."""

    claim: int
    source: Identity
    algorithm: Algorithm
    offset: int = 0
    chunks: int = 0
    list_bytes: int = 0
    new_bytes: int = 0
    new_chunks: int = 0


class _Splitting:
    """A file on its way into a store.

    Attributes:
        mark: how far it is.
    """

    def __init__(
        self, ctx: Context[Progress, Trouble], job: Split, source: Source, store: ChunkStore, kept: Unfinished
    ) -> None:
        self._ctx: Final = ctx
        self._job: Final = job
        self._source: Final = source
        self._store: Final = store
        self._kept: Final = kept
        self._new: Final = NewChunks(store, kept.folder)
        self._meter: Final = Meter(ctx.report)
        self.mark = self._begun(algorithm_for(job.method, job.chunk_bytes))

    def split(self) -> None:
        """Cut and store; when this returns, every chunk and its name are on the disk."""
        self._check_count(fewest_chunks(self._source.identity.bytes, self.mark.algorithm))
        self._meter.start("splitting", total=self._source.identity.bytes, done=self.mark.offset)
        self._source.seek(self.mark.offset)
        settled = self.mark.model_copy()
        for data in cut(self._source, self.mark.algorithm):
            self._meter.item(self._add(data))
            self._meter.at(self.mark.offset)
            if _is_time(settled, self.mark, self._job.interval_bytes):
                self._settle()
                settled = self.mark.model_copy()
        self._settle()
        self._source.check()
        self._meter.end()

    def publish(self) -> str:
        """Write the manifest, and give its SHA-256."""
        mark, digest = self.mark, hashlib.sha256()
        tail = Tail(chunks=mark.chunks, bytes=mark.offset, lines_sha256=self._kept.list_sha256())
        with self._ctx.output(self._job.target, replace=self._job.overwrite) as out, out.path.open("xb") as file:

            def write(data: bytes) -> None:
                digest.update(data)
                file.write(data)

            self._kept.copy_list(write)
            write(line_of(tail))
        return digest.hexdigest()

    def _begun(self, algorithm: Fixed | FastCdc) -> _Mark:
        """Where an earlier attempt was, if that still holds, else the start."""
        mark = _Mark(claim=self._ctx.claim.number, source=self._source.identity, algorithm=algorithm)
        left = self._ctx.resume(_Mark)
        if left and _fits(left, mark) and self._kept.adopt(left.claim, left.list_bytes):
            logger.info("going on at byte {} of {}", left.offset, mark.source.bytes)
            mark = left.model_copy(update={"claim": mark.claim})
            self._ctx.checkpoint(mark)
        else:
            mark.list_bytes = self._kept.list.write(line_of(Head(algorithm=algorithm)))
        self._kept.sweep_earlier()
        return mark

    def _add(self, data: memoryview) -> str:
        """Have a chunk stored and listed, and give its digest."""
        mark, sha256, size = self.mark, hashlib.sha256(data).hexdigest(), len(data)
        self._check_count(mark.chunks + 1)
        if not self._known(sha256, size):
            self._new.add(sha256, data)
            mark.new_bytes += size
            mark.new_chunks += 1
        line = entry_line(mark.offset, size, sha256)
        self._kept.list.write(line)
        mark.list_bytes += len(line)
        mark.offset += size
        mark.chunks += 1
        return sha256

    def _check_count(self, chunks: int) -> None:
        if chunks > CHUNKS_MAX:
            what = f"has more than {CHUNKS_MAX:,} chunks of this size"
            stop(Refused, what, where=self._job.source, would_do="use a larger chunk_bytes")

    def _known(self, sha256: str, size: int) -> bool:
        if sha256 in self._new:
            return True
        if self._job.compare:
            return isinstance(self._store.read(sha256, size), bytes)
        return self._store.holds(sha256, size)

    def _settle(self) -> None:
        """Have all until here in the store, and keep that for the next attempt."""
        self._source.check()
        self._kept.list.flush()
        self._new.settle()
        self._ctx.checkpoint(self.mark)


def _is_time(settled: _Mark, now: _Mark, interval_bytes: int) -> bool:
    """Whether so much was done that it would be a pity to do it again; known chunks are only read."""
    new, all_ = now.new_bytes - settled.new_bytes, now.offset - settled.offset
    return new >= interval_bytes or all_ >= 4 * interval_bytes


def _fits(left: _Mark, now: _Mark) -> bool:
    return left.claim < now.claim and (left.source, left.algorithm) == (now.source, now.algorithm)
