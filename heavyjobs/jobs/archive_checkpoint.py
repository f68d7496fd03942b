"""What the making of an archive keeps, so that the next attempt knows what is done, and what is only there."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from loguru import logger
from pydantic import BaseModel

from heavyjobs import durable
from heavyjobs.context import Context
from heavyjobs.jobs.finished import Finished, finish
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.trouble import Trouble
from heavyjobs.outputs import Output, remove


class Archived(BaseModel):
    """An archive that was written.

    Attributes:
        target: as the parameters say it. path: where that is on the host that wrote it.
        format: like `tar.zst`.
        members: entries of all sorts; files: the files among them; skipped: sockets, FIFOs and devices that were left out.
        content_bytes: of the files, unpacked; bytes: of the archive.
        sha256: of the archive, read back after it was written.
    """

    target: str
    path: str
    format: str
    members: int
    files: int
    skipped: int
    content_bytes: int
    bytes: int
    sha256: str


class Kept(Finished):
    """The checkpoint: what of which source is safely in which output.

    Attributes:
        source: tells it from what it was before a change. begun_by: of the output.
        members, size: so many are done, in so many bytes of the file.
    """

    source: str
    begun_by: int
    members: int = 0
    size: int = 0


class Keeping:
    """The checkpoints of one attempt.

    Attributes:
        members, size: what of the source is safely in this very output, from earlier attempts too; if none, nothing is in it.
    """

    def __init__(self, ctx: Context[Progress, Trouble], out: Output, *, source: str) -> None:
        self._ctx: Final = ctx
        self._out: Final = out
        self._kept = Kept(source=source, begun_by=out.begun_by)
        kept = ctx.resume(Kept)
        if kept is None or not out.path.exists() or (kept.source, kept.begun_by) != (source, out.begun_by):
            remove(out.path)  # what stayed would be published
        else:
            self._kept = kept
            logger.info("going on after {:,} members that are done", kept.members)

    @property
    def members(self) -> int:
        return self._kept.members

    @property
    def size(self) -> int:
        return self._kept.size

    def keep(self, members: int, file: BinaryIO) -> None:
        """Bring all to the disk, and say that so much is done."""
        file.flush()
        durable.sync_tree(self._out.path)
        durable.sync_folder(self._out.path.parent)  # or a power cut could take the name, and all with it
        self._kept = Kept(source=self._kept.source, begun_by=self._kept.begun_by, members=members, size=file.tell())
        self._ctx.checkpoint(self._kept)

    def finish(self, result: Archived, *, path: Path) -> None:
        """Say that all is done, and only to be published."""
        finish(self._ctx, self._out, result, path=path, kept=self._kept)
