"""`chunk.verify`: whether all chunks of a manifest are there and are what their names say."""

from __future__ import annotations

from typing import ClassVar, Final

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.chunks.flaws import Flaws
from heavyjobs.jobs.chunks.manifest import Listed, Manifest, Position, opened_manifest
from heavyjobs.jobs.chunks.store import ChunkStore, opened_store, store_to_read
from heavyjobs.jobs.places import source_file
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import Trouble, shown, typed
from heavyjobs.locations import Place
from heavyjobs.units import show_bytes

READ_ONCE_MAX: Final = 100_000
"""How many chunks are remembered, so that one that comes again is not read again."""


class Verified(BaseModel):
    """A manifest whose chunks are all there and sound.

    Attributes:
        bytes, chunks: of the file that it names. lines_sha256: of the manifest without its last line.
    """

    bytes: int
    chunks: int
    lines_sha256: str


class VerifyChunks(Job[Verified, Progress, Trouble], kind="chunk.verify"):
    """Read every chunk that a manifest names, and compare it with its digest; nothing is changed.

    It fails when any is missing or damaged: the error counts them all, and names the first hundred of each. After a crash it
    goes on from a chunk, at most 256 MiB before where it was.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the manifest or the folder of chunks is missing, or may not be read | `SourceMissing` | no |
    | no manifest, a newer version, cut off, damaged, lines that contradict each other | `Unreadable` | no |
    | chunks that are missing, damaged, of another size, or no regular files | `ChunksUnsound`, with their digests | no |
    | the manifest changes while it is read | `SourceChanged` | yes |
    | a place that is not open to jobs; symlinks in the folder of chunks | `Refused` | no |
    | other I/O errors | the exception itself | yes |
    """

    source: Place = Field(description="the manifest")
    chunks: Place = Field(description="the folder that chunk.split filled")

    config = JobConfig(timeout=None, memory=None)
    interval_bytes: ClassVar[int] = 256 << 20

    def run(self, ctx: Context[Progress, Trouble]) -> Verified:
        with typed(ctx, target=self.source):
            path = source_file(ctx.locations, self.source, instead="use the manifest that chunk.split wrote")
            folder = store_to_read(ctx.locations, self.chunks)
            meter = Meter(ctx.report)
            with (
                opened_manifest(path, where=self.source, meter=meter) as manifest,
                opened_store(folder, where=self.chunks) as store,
            ):
                flaws = _Verifying(ctx, manifest, store, meter).verify(interval_bytes=self.interval_bytes)
            if flaws.first:
                flaws.stop(where=self.source, would_do="split the original again, with compare set")
            tail = manifest.tail
            logger.info("verified {}: {:,} chunks, {}", shown(self.source), tail.chunks, show_bytes(tail.bytes))
            return Verified(bytes=tail.bytes, chunks=tail.chunks, lines_sha256=tail.lines_sha256)


class _Mark(BaseModel):
    """How far it is in which manifest, and what was found until there."""

    lines_sha256: str
    position: Position
    flaws: Flaws


class _Verifying:
    """The chunks of a manifest, one after the other."""

    def __init__(self, ctx: Context[Progress, Trouble], manifest: Manifest, store: ChunkStore, meter: Meter) -> None:
        self._ctx: Final = ctx
        self._manifest: Final = manifest
        self._store: Final = store
        self._meter: Final = meter
        self._sound: Final[set[bytes]] = set()

    def verify(self, *, interval_bytes: int) -> Flaws:
        """What is wrong with them."""
        mark = self._begun()
        self._meter.start("verifying", total=self._manifest.tail.bytes, done=mark.position.offset)
        for listed in self._manifest.listed(mark.position):
            self._look(listed, mark.flaws)
            self._meter.item(listed.entry.sha256)
            self._meter.at(listed.after.offset)
            if listed.after.offset - mark.position.offset >= interval_bytes:
                mark.position = listed.after
                self._ctx.checkpoint(mark)
        self._meter.end()
        if mark.flaws.first:
            self._ctx.checkpoint(self._fresh())  # whoever tries again has repaired something
        return mark.flaws

    def _begun(self) -> _Mark:
        """Where an earlier attempt was, if it read the same manifest, else the start."""
        lines_sha256, left = self._manifest.tail.lines_sha256, self._ctx.resume(_Mark)
        if left and left.lines_sha256 == lines_sha256:
            logger.info("going on at byte {} of {}", left.position.offset, self._manifest.tail.bytes)
            return left
        return self._fresh()

    def _fresh(self) -> _Mark:
        return _Mark(lines_sha256=self._manifest.tail.lines_sha256, position=self._manifest.start, flaws=Flaws())

    def _look(self, listed: Listed, flaws: Flaws) -> None:
        entry = listed.entry
        key = bytes.fromhex(entry.sha256) + entry.bytes.to_bytes(4, "big")
        if key in self._sound:
            return
        found = self._store.read(entry.sha256, entry.bytes)
        if not isinstance(found, bytes):
            flaws.add(listed, found)
        elif len(self._sound) < READ_ONCE_MAX:
            self._sound.add(key)
