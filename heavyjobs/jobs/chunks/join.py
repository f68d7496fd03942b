"""`chunk.join`: the file that a manifest names, put together again from its chunks."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs import durable
from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.chunks.flaws import Flaws
from heavyjobs.jobs.chunks.manifest import Listed, Manifest, Position, opened_manifest
from heavyjobs.jobs.chunks.store import ChunkStore, opened_store, store_to_read
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.places import check_other, source_file, target_path
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import Refused, TargetUnusable, Trouble, shown, stop, typed
from heavyjobs.locations import Place
from heavyjobs.outputs import Output
from heavyjobs.units import show_bytes

_STEP_BYTES: Final = 8 << 20
"""After so much the system is told to begin writing it out, so that a sync has less to wait for."""


class Joined(BaseModel):
    """A file that was put together.

    Attributes:
        target: as the parameters say it. path: where that is on the host that wrote it.
        sha256: of the file, read back after it was written.
    """

    target: str
    path: str
    bytes: int
    chunks: int
    sha256: str


class Join(Job[Joined, Progress, Trouble], kind="chunk.join"):
    """Put a file together from the chunks that a manifest names; each is compared with its digest before it is written.

    The file appears whole, after it was read back. After a crash it goes on from a chunk, at most 64 MiB before where it was.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the manifest or the folder of chunks is missing, or may not be read | `SourceMissing` | no |
    | no manifest, a newer version, cut off, damaged, lines that contradict each other | `Unreadable` | no |
    | a chunk that is missing, damaged, of another size, or no regular file | `ChunksUnsound`, with its digest | no |
    | the manifest changes while it is read | `SourceChanged` | yes |
    | a file larger than `max_bytes`; the manifest as target | `Refused` | no |
    | a place that is not open to jobs; symlinks in the folder of chunks | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | no such folder, a name that is too long, less room than the file needs | `TargetUnusable` | no |
    | the disk is full, I/O errors | the exception itself | yes |
    """

    source: Place = Field(description="the manifest")
    chunks: Place = Field(description="the folder that chunk.split filled")
    target: Place
    max_bytes: int | None = Field(default=None, ge=0, description="refuse a manifest that names more")
    overwrite: bool = False

    config = JobConfig(timeout=None, memory=None)
    interval_bytes: ClassVar[int] = 64 << 20

    def run(self, ctx: Context[Progress, Trouble]) -> Joined:
        with typed(ctx, target=self.target):
            path = source_file(ctx.locations, self.source, instead="use the manifest that chunk.split wrote")
            folder = store_to_read(ctx.locations, self.chunks)
            target = target_path(ctx.locations, self.target, overwrite=self.overwrite)
            check_other(path, target, where=self.target)
            meter = Meter(ctx.report)
            with (
                opened_manifest(path, where=self.source, meter=meter) as manifest,
                opened_store(folder, where=self.chunks) as store,
            ):
                self._check_size(manifest.tail.bytes)
                sha256 = _Joining(ctx, self, manifest, store, meter).join(target)
            tail = manifest.tail
            logger.info("joined {}: {:,} chunks, {}", shown(self.target), tail.chunks, show_bytes(tail.bytes))
            return Joined(target=self.target, path=str(target), bytes=tail.bytes, chunks=tail.chunks, sha256=sha256)

    def _check_size(self, size: int) -> None:
        if self.max_bytes is not None and size > self.max_bytes:
            what = f"names a file of {size} bytes, more than max_bytes allows"
            stop(Refused, what, where=self.source, would_do="set a larger max_bytes if it is to be trusted")


class _Mark(BaseModel):
    """How far it is in which manifest: as much is on the disk, in the unfinished output that this claim has begun."""

    begun_by: int
    lines_sha256: str
    position: Position


class _Joining:
    """A file in the making."""

    def __init__(self, ctx: Context[Progress, Trouble], job: Join, manifest: Manifest, store: ChunkStore, meter: Meter) -> None:
        self._ctx: Final = ctx
        self._job: Final = job
        self._manifest: Final = manifest
        self._store: Final = store
        self._meter: Final = meter

    def join(self, target: Path) -> str:
        """Write it, read it back, publish it; the SHA-256 of what is there then."""
        with self._ctx.output(self._job.target, replace=self._job.overwrite, resume=True) as out:
            start = self._begun(out)
            self._check_room(target.parent, self._manifest.tail.bytes - start.offset)
            with _opened_at(out.path, start.offset) as file:
                self._write(file, start, out)
            self._meter.start("digesting", total=self._manifest.tail.bytes)
            sha256 = sha256_of(out.path, meter=self._meter)
            self._meter.end()
        return sha256

    def _begun(self, out: Output) -> Position:
        """Where an earlier attempt was, if what it wrote is there; else the start."""
        left = self._ctx.resume(_Mark)
        if left and (left.lines_sha256, left.begun_by) == (self._manifest.tail.lines_sha256, out.begun_by):
            with suppress(FileNotFoundError):
                if out.path.stat(follow_symlinks=False).st_size >= left.position.offset:
                    logger.info("going on at byte {} of {}", left.position.offset, self._manifest.tail.bytes)
                    return left.position
        return self._manifest.start

    def _check_room(self, folder: Path, needed: int) -> None:
        free = shutil.disk_usage(folder).free
        if needed > free:
            what = f"has {show_bytes(free)} left, and {show_bytes(needed)} are to be written"
            stop(TargetUnusable, what, where=folder, would_do="make room, or use another target")

    def _write(self, file: BinaryIO, start: Position, out: Output) -> None:
        self._meter.start("joining", total=self._manifest.tail.bytes, done=start.offset)
        kept = start
        for listed in self._manifest.listed(start):
            file.write(self._chunk(listed))
            if listed.entry.offset // _STEP_BYTES != listed.after.offset // _STEP_BYTES:
                durable.start_writing(file.fileno())
            self._meter.item(listed.entry.sha256)
            self._meter.at(listed.after.offset)
            if listed.after.offset - kept.offset >= self._job.interval_bytes:
                kept = listed.after
                file.flush()
                os.fsync(file.fileno())
                self._keep(kept, out)
        self._meter.end()

    def _chunk(self, listed: Listed) -> bytes:
        found = self._store.read(listed.entry.sha256, listed.entry.bytes)
        if not isinstance(found, bytes):
            flaws = Flaws()
            flaws.add(listed, found)
            flaws.stop(
                where=self._job.source, would_do="chunk.verify finds all such; split the original again, with compare set"
            )
        return found

    def _keep(self, position: Position, out: Output) -> None:
        mark = _Mark(begun_by=out.begun_by, lines_sha256=self._manifest.tail.lines_sha256, position=position)
        self._ctx.checkpoint(mark)


def _opened_at(path: Path, size: int) -> BinaryIO:
    """A file to write from there on, cut to that size; a new one when that is 0."""
    if not size:
        path.unlink(missing_ok=True)
        return path.open("xb")
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b")
    file.truncate(size)
    file.seek(size)
    return file
