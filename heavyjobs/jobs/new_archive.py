"""A new archive as a job's output: written member by member, counted, digested, then published."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from loguru import logger
from pydantic import BaseModel

from heavyjobs.context import Context
from heavyjobs.jobs.codecs import format_of
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.finished import finish
from heavyjobs.jobs.members import Data, Member, Sort
from heavyjobs.jobs.places import CHUNK_BYTES, target_path
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import Trouble, shown
from heavyjobs.jobs.writers import Writer, writing_archive
from heavyjobs.units import show_bytes


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


class NewArchive:
    """An archive in the making.

    Attributes:
        own_paths: where it is being written and where it will be, for those who pack the folder it lies in.
    """

    def __init__(self, writer: Writer, meter: Meter, *, own_paths: frozenset[Path]) -> None:
        self._writer: Final = writer
        self._members = self._files = self._content_bytes = 0
        self._archived: Archived | None = None
        self.meter: Final = meter
        self.own_paths: Final = own_paths
        self.skipped = 0

    @property
    def holds_hardlinks(self) -> bool:
        return self._writer.holds_hardlinks

    def start(self, phase: str, *, total: int) -> None:
        """Begin a phase of so many bytes."""
        logger.info("{}: {} to read", phase, show_bytes(total))
        self.meter.start(phase, total=total)

    def add(self, member: Member, data: Data | None, tick: Callable[[int], None]) -> None:
        """Write a member; `tick` hears of each piece that was read, by its length in bytes."""
        self.meter.item(shown(member.name))
        self._writer.add(member, None if data is None else _Ticking(data, tick))
        tick(0)
        self._members += 1
        self._files += member.sort in {Sort.FILE, Sort.HARDLINK}
        self._content_bytes += member.size

    def digest(self, part: Path, *, target: str, path: Path) -> Archived:
        """Read the finished file back, and note what it is."""
        size = part.stat().st_size
        self.meter.start("digesting", total=size)
        self._archived = Archived(
            target=target,
            path=str(path),
            format=format_of(target).name,
            members=self._members,
            files=self._files,
            skipped=self.skipped,
            content_bytes=self._content_bytes,
            bytes=size,
            sha256=sha256_of(part, meter=self.meter),
        )
        self.meter.end()
        return self._archived

    def archived(self) -> Archived:
        """What was published."""
        assert self._archived is not None  # noqa: S101 - the block was left cleanly
        done = self._archived
        logger.info("wrote {}: {:,} members, {}", shown(done.target), done.members, show_bytes(done.bytes))
        return done


@contextmanager
def writing_output(ctx: Context[Progress, Trouble], target: str, *, overwrite: bool) -> Generator[NewArchive]:
    """A new archive that is published as `target` when the block is left cleanly; its name says the format.

    Raises:
        Stopped: TargetTaken, TargetUnusable or Refused.
    """
    form = format_of(target)
    path = target_path(ctx.locations, target, overwrite=overwrite)
    with ctx.output(target, replace=overwrite) as out:
        own_paths = frozenset(Path(os.path.realpath(own.parent)) / own.name for own in (path, out.path))
        with writing_archive(out.path, form, where=target) as writer:
            new = NewArchive(writer, Meter(ctx.report), own_paths=own_paths)
            yield new
        finish(ctx, out, new.digest(out.path, target=target, path=path), path=path)


def copy_data(data: Data, file: BinaryIO) -> None:
    """Copy all of it."""
    while chunk := data.read(CHUNK_BYTES):
        file.write(chunk)


class _Ticking:
    """Tells of every piece that is read."""

    def __init__(self, data: Data, tick: Callable[[int], None]) -> None:
        self._data: Final = data
        self._tick: Final = tick

    def read(self, size: int, /) -> bytes:
        data = self._data.read(size)
        self._tick(len(data))
        return data
