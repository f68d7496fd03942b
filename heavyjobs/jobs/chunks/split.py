"""`chunk.split`: a file into chunks that are stored once each, and the manifest that names them."""

from __future__ import annotations

from typing import ClassVar

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.chunks.cutting import AVERAGE_MAX_BYTES, AVERAGE_MIN_BYTES, Algorithm, Method
from heavyjobs.jobs.chunks.source import opened_source
from heavyjobs.jobs.chunks.splitting import Splitting
from heavyjobs.jobs.chunks.store import opened_store, store_to_fill
from heavyjobs.jobs.chunks.unfinished import unfinished
from heavyjobs.jobs.places import check_other, source_file, target_path
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.trouble import Trouble, shown, typed
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
                splitting = Splitting(ctx, self, source, store, kept)
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
