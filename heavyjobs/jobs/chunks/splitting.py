"""The work of `chunk.split`: chunks cut, stored and listed, settled now and then, gone on from after a crash."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from loguru import logger
from pydantic import BaseModel

from heavyjobs.context import Context
from heavyjobs.jobs.chunks.cutting import Algorithm, FastCdc, Fixed, algorithm_for, cut, fewest_chunks
from heavyjobs.jobs.chunks.manifest import CHUNKS_MAX, Head, Tail, entry_line, line_of
from heavyjobs.jobs.chunks.source import Identity, Source
from heavyjobs.jobs.chunks.store import ChunkStore, NewChunks
from heavyjobs.jobs.chunks.unfinished import Unfinished
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import Refused, Trouble, stop

if TYPE_CHECKING:
    from heavyjobs.jobs.chunks.split import Split


class Mark(BaseModel):
    """How far it is: a boundary, all chunks before it in the store, their lines in the list of that claim."""

    claim: int
    source: Identity
    algorithm: Algorithm
    offset: int = 0
    chunks: int = 0
    list_bytes: int = 0
    new_bytes: int = 0
    new_chunks: int = 0


class Splitting:
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

    def _begun(self, algorithm: Fixed | FastCdc) -> Mark:
        """Where an earlier attempt was, if that still holds, else the start."""
        mark = Mark(claim=self._ctx.claim.number, source=self._source.identity, algorithm=algorithm)
        left = self._ctx.resume(Mark)
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


def _is_time(settled: Mark, now: Mark, interval_bytes: int) -> bool:
    """Whether so much was done that it would be a pity to do it again; known chunks are only read."""
    new, all_ = now.new_bytes - settled.new_bytes, now.offset - settled.offset
    return new >= interval_bytes or all_ >= 4 * interval_bytes


def _fits(left: Mark, now: Mark) -> bool:
    return left.claim < now.claim and (left.source, left.algorithm) == (now.source, now.algorithm)
