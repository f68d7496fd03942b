"""What an extraction keeps, so that the next attempt knows what is done, and what is only there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from loguru import logger
from pydantic import BaseModel

from heavyjobs import durable
from heavyjobs.context import Context
from heavyjobs.jobs.places import state_of
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.trouble import Trouble
from heavyjobs.outputs import Output


class Extracted(BaseModel):
    """A folder that was written.

    Attributes:
        target: as the parameters say it. path: where that is on the host that wrote it.
        format: of the archive, like `tar.zst`.
        members: of all sorts; files: the files among them, further names of one (hard links) too; symlinks: those made.
        left_out: links that were left out.
        bytes: of all files.
        sha256: of one line per file, `<sha256>  <name>`, in the order of the names' parts: what `sha256sum` prints for them.
    """

    target: str
    path: str
    format: str
    members: int
    files: int
    symlinks: int
    left_out: int
    bytes: int
    sha256: str


class Kept(BaseModel):
    """The checkpoint: what of which archive is safely in which output.

    Attributes:
        source, folder: tell the archive and, once it is whole, the folder from all others.
        begun_by: of the output. members, offset: so many are done, and so many bytes of the next.
        result: once all is done, and only to be published.
    """

    source: str
    begun_by: int
    members: int
    offset: int = 0
    folder: str = ""
    result: Extracted | None = None


class Keeping:
    """The checkpoints of one attempt."""

    def __init__(self, ctx: Context[Progress, Trouble], out: Output, *, source: str) -> None:
        self._ctx: Final = ctx
        self._out: Final = out
        self._source: Final = source

    def done(self) -> tuple[int, int]:
        """What of the same archive is safely in this very output: members, and bytes of the next; else nothing is in it."""
        kept = self._ctx.resume(Kept)
        there = self._out.path.is_dir()
        if kept is None or not there or (kept.source, kept.begun_by) != (self._source, self._out.begun_by):
            if there:
                shutil.rmtree(self._out.path)  # what stayed would be published
            return 0, 0
        logger.info("going on after {:,} members that are done", kept.members)
        return kept.members, kept.offset

    def keep(self, members: int, offset: int) -> None:
        """Bring all to the disk, and say that so much is done."""
        durable.sync_tree(self._out.path)
        self._ctx.checkpoint(Kept(source=self._source, begun_by=self._out.begun_by, members=members, offset=offset))

    def finish(self, members: int, result: Extracted) -> None:
        """Say that all is done: whoever dies after publishing finds the target taken, and has to know that it is its own."""
        durable.sync_tree(self._out.path)
        folder = state_of(self._out.path)
        kept = Kept(source=self._source, begun_by=self._out.begun_by, members=members, folder=folder, result=result)
        self._ctx.checkpoint(kept)


def published(ctx: Context[Progress, Trouble], *, source: str) -> Extracted | None:
    """The result, when an earlier attempt published it and died before it could say so."""
    kept = ctx.resume(Kept)
    if kept is None or kept.result is None or kept.source != source:
        return None
    try:
        return kept.result if state_of(Path(kept.result.path)) == kept.folder else None
    except OSError:
        return None
