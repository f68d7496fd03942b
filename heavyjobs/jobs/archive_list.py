"""`archive.list`: what is in an archive, without unpacking it."""

from __future__ import annotations

from typing import Final

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.codecs import format_in
from heavyjobs.jobs.members import Member, Sort
from heavyjobs.jobs.places import source_file, unchanging
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.readers import Reading, reading_archive
from heavyjobs.jobs.trouble import Trouble, shown, typed
from heavyjobs.locations import Place
from heavyjobs.units import show_bytes

LIMIT_MAX: Final = 10_000
ENTRIES_MAX_BYTES: Final = 768 << 10
"""Of all that are listed at once, as JSON: they have to fit into a result, which may have 1 MiB."""


class Entry(BaseModel):
    """A member.

    Attributes:
        name, link: as people can read them: on one line, and cut in the middle past 400 characters.
        bytes: of a file. mtime: seconds since 1970. mode: permission bits.
        link: what a symlink says, or the file that a hard link is another name of.
    """

    name: str
    sort: Sort
    bytes: int
    mtime: float
    mode: int
    link: str


class Listed(BaseModel):
    """What is in an archive.

    Attributes:
        source: as the parameters say it. format: like `tar.zst`.
        bytes: of the archive. members: entries of all sorts; files: the files among them, hard links too.
        content_bytes: of the files, unpacked, as the archive says.
        entries: from `start` on, in the order of the archive. following: the `start` for those that come next, if any do.
    """

    source: str
    format: str
    bytes: int
    members: int = 0
    files: int = 0
    content_bytes: int = 0
    entries: list[Entry] = []
    following: int | None = None


class ListArchive(Job[Listed, Progress, Trouble], kind="archive.list"):
    """Say what is in an archive (tar, plain or compressed, zip, 7z, rar); its format is taken from the content.

    A zip is listed from its directory; a tar or 7z is read to its end, and what is compressed is checked on the way. What is in
    the files of a zip or rar is not looked at: that is `archive.verify`. The names of a 7z come in Unicode's composed form, the
    times of a rar to the second.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | the source changes while it is read | `SourceChanged` | yes |
    | no archive, truncated, damaged, encrypted, contradictory entries, data in front or after its end | `Unreadable` | no |
    | a member with an absolute name, `..`, NUL; a device or FIFO | `Refused` | no |
    | headers or compressed data that need too much memory; a place that is not open to jobs | `Refused` | no |
    | a 7z or rar that libarchive cannot read: in several files, a solid RAR 3, RAR before 3.0, zstd in 7z | `Unreadable` | no |
    | a 7z or rar that crashes its reader, or holds it up for five minutes | `Unreadable` | no |
    | the package for zstd is missing here, or libarchive for 7z and rar | `NotInstalled` | yes |
    | the reader of 7z and rar is ended from outside | `ProgramFailed` | yes |
    | more members than asked for, or than fit into a result | `following` says where to go on | |
    | I/O errors | the exception itself | yes |
    """

    source: Place
    start: int = Field(default=0, ge=0, description="leave out so many members")
    limit: int = Field(default=1000, ge=0, le=LIMIT_MAX, description="list so many members at most")

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> Listed:
        with typed(ctx, target=self.source):
            path = source_file(ctx.locations, self.source, instead="it is listed as it is, without a job")
            form, listing = format_in(path), _Listing(self.start, self.limit)
            listed = Listed(source=self.source, format=form.name, bytes=path.stat().st_size)
            with (
                unchanging(path, where=self.source),
                reading_archive(ctx, path, form, where=self.source, contents=False) as reading,
            ):
                self._list(listed, listing, reading, Meter(ctx.report))
            listed.entries, listed.following = listing.entries, listing.following
            logger.info("{}: {:,} members, {}", shown(self.source), listed.members, show_bytes(listed.content_bytes))
            return listed

    def _list(self, listed: Listed, listing: _Listing, reading: Reading, meter: Meter) -> None:
        meter.start("listing", total=reading.total)
        for member, _ in reading.members:
            listing.add(listed.members, member)
            listed.members += 1
            listed.files += member.sort in {Sort.FILE, Sort.HARDLINK}
            listed.content_bytes += member.size
            meter.at(reading.position())
        meter.end()


class _Listing:
    """Entries from a number on, until there are enough."""

    def __init__(self, start: int, limit: int) -> None:
        self._start: Final = start
        self._limit: Final = limit
        self._room = ENTRIES_MAX_BYTES
        self.entries: Final[list[Entry]] = []
        self.following: int | None = None

    def add(self, number: int, member: Member) -> None:
        if number < self._start or self.following is not None:
            return
        entry = Entry(
            name=shown(member.name),
            sort=member.sort,
            bytes=member.size,
            mtime=member.mtime_ns / 10**9,
            mode=member.mode,
            link=shown(member.link),
        )
        self._room -= len(entry.model_dump_json().encode()) + 1
        if len(self.entries) == self._limit or self._room < 0:
            self.following = number
        else:
            self.entries.append(entry)
