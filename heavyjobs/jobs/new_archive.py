"""A new archive as a job's output: written member by member, counted, digested, then published."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from loguru import logger

from heavyjobs.context import Context
from heavyjobs.jobs.archive_checkpoint import Archived, Keeping
from heavyjobs.jobs.codecs import format_of
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.extracting import INTERVAL_BYTES, INTERVAL_MEMBERS
from heavyjobs.jobs.members import Data, Member, Sort
from heavyjobs.jobs.places import CHUNK_BYTES, target_path
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import Trouble, shown
from heavyjobs.jobs.writers import Writer, writing_archive
from heavyjobs.outputs import Output, remove
from heavyjobs.units import show_bytes


class NewArchive:
    """An archive in the making.

    Attributes:
        skipped: what was left out, for the result.
    """

    def __init__(self, writer: Writer, file: BinaryIO, *, keeping: Keeping, meter: Meter) -> None:
        self._writer: Final = writer
        self._file: Final = file
        self._keeping: Final = keeping
        self._there: Final = keeping.members
        self._unkept_bytes = self._unkept_members = 0
        self.meter: Final = meter
        self.members = self.files = self.content_bytes = self.skipped = 0

    def start(self, phase: str, *, total: int) -> None:
        """Begin a phase of so many bytes."""
        logger.info("{}: {} to read", phase, show_bytes(total))
        self.meter.start(phase, total=total)

    def add(self, member: Member, data: Data | None, tick: Callable[[int], None]) -> None:
        """Write a member, unless an earlier attempt has; `tick` hears of each piece that was read, by its length in bytes."""
        self.meter.item(shown(member.name))
        is_there = self.members < self._there
        if is_there:
            self._writer.pass_over(member)
        else:
            self._writer.add(member, None if data is None else _Ticking(data, tick))
        tick(member.size if is_there else 0)
        self._count(member)
        if not is_there:
            self._keep(member)

    def _count(self, member: Member) -> None:
        self.members += 1
        self.files += member.sort in {Sort.FILE, Sort.HARDLINK}
        self.content_bytes += member.size

    def _keep(self, member: Member) -> None:
        """Where a checkpoint falls depends on the members alone, and so do the archive's bytes."""
        self._unkept_bytes += member.size
        self._unkept_members += 1
        if self._unkept_bytes >= INTERVAL_BYTES or self._unkept_members >= INTERVAL_MEMBERS:
            self._unkept_bytes = self._unkept_members = 0
            self._writer.seal()
            self._keeping.keep(self.members, self._file)


class ArchiveOutput:
    """A job's output that will be an archive.

    Attributes:
        own_paths: where it is being written and where it will be, for those who pack the folder it lies in.
    """

    def __init__(self, ctx: Context[Progress, Trouble], out: Output, *, target: str, path: Path) -> None:
        self._ctx: Final = ctx
        self._out: Final = out
        self._target: Final = target
        self._path: Final = path
        self._archived: Archived | None = None
        self.form: Final = format_of(target)
        self.own_paths: Final = frozenset(Path(os.path.realpath(own.parent)) / own.name for own in (path, out.path))

    @contextmanager
    def writing(self, *, source: str) -> Generator[NewArchive]:
        """Write it, or go on with what an earlier attempt wrote of the same source; whole when the block is left cleanly.

        Args:
            source: says something else whenever the source holds something else.
        """
        keeping, meter = Keeping(self._ctx, self._out, source=source), Meter(self._ctx.report)
        try:
            with _opened(self._out.path, keeping.size) as file, writing_archive(file, self.form, where=self._target) as writer:
                new = NewArchive(writer, file, keeping=keeping, meter=meter)
                yield new
        except BaseException:  # passed on
            if not keeping.members:
                remove(self._out.path)  # of no use to another attempt
            raise
        self._archived = self._digested(new)
        keeping.finish(self._archived, path=self._path)

    def _digested(self, new: NewArchive) -> Archived:
        """Read the finished file back, and say what it is."""
        size = self._out.path.stat().st_size
        new.meter.start("digesting", total=size)
        sha256 = sha256_of(self._out.path, meter=new.meter)
        new.meter.end()
        return Archived(
            target=self._target,
            path=str(self._path),
            format=self.form.name,
            members=new.members,
            files=new.files,
            skipped=new.skipped,
            content_bytes=new.content_bytes,
            bytes=size,
            sha256=sha256,
        )

    def archived(self) -> Archived:
        """What was published."""
        assert self._archived is not None  # noqa: S101 - the blocks were left cleanly
        done = self._archived
        logger.info("wrote {}: {:,} members, {}", shown(done.target), done.members, show_bytes(done.bytes))
        return done


@contextmanager
def writing_output(ctx: Context[Progress, Trouble], target: str, *, overwrite: bool) -> Generator[ArchiveOutput]:
    """A new archive that is published as `target` when the block is left cleanly; its name says the format.

    Raises:
        Stopped: TargetTaken, TargetUnusable or Refused.
    """
    format_of(target)
    path = target_path(ctx.locations, target, overwrite=overwrite)
    with ctx.output(target, replace=overwrite, resume=True) as out:
        yield ArchiveOutput(ctx, out, target=target, path=path)


@contextmanager
def _opened(path: Path, size: int) -> Generator[BinaryIO]:
    """The file, cut off after that many bytes, to write behind them."""
    with path.open("r+b" if size else "w+b") as file:
        file.truncate(size)
        file.seek(size)
        yield file


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
