"""`archive.verify`: whether every byte of an archive can be read, and what its files' digests are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.codecs import Format, format_in
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.digests import sha256_of_all
from heavyjobs.jobs.limits import MaxBytes, MaxMembers, MaxRatio, limits
from heavyjobs.jobs.members import Data, Member, Sort
from heavyjobs.jobs.places import CHUNK_BYTES, source_file, unchanging
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.readers import Reading, reading_archive
from heavyjobs.jobs.trouble import Trouble, Unreadable, shown, stop, typed
from heavyjobs.locations import Place
from heavyjobs.units import show_bytes

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Verified(BaseModel):
    """An archive that is whole.

    Attributes:
        source: as the parameters say it. format: like `tar.zst`.
        bytes, sha256: of the archive. members: entries of all sorts; files: the files among them, hard links too.
        content_bytes: of the files, as they were unpacked.
        content_sha256: of one line per file, `<sha256>  <name>`, in the order of the names' parts: what `sha256sum` prints for
            them, and what `archive.extract` and `storage.copy` give for the same files.
    """

    source: str
    format: str
    bytes: int
    sha256: str
    members: int
    files: int
    content_bytes: int
    content_sha256: str


class VerifyArchive(Job[Verified, Progress, Trouble], kind="archive.verify"):
    """Read every byte of an archive (tar, plain or compressed, zip, 7z, rar), check all sums that it has, and digest its files.

    Sums are those of gzip, zstd, xz, bzip2, zip, 7z and rar, and those of a tar's headers; the bytes of a plain tar have none,
    so give the `sha256` that it should have. Nothing is written.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | the source changes while it is read | `SourceChanged` | yes |
    | no archive, truncated, damaged, encrypted, contradictory entries, data in front or after its end | `Unreadable` | no |
    | a hard link to what is no file in the archive; another digest than `sha256` | `Unreadable` | no |
    | a member with an absolute name, `..`, NUL; a device or FIFO | `Refused` | no |
    | headers or compressed data that need too much memory; a place that is not open to jobs | `Refused` | no |
    | more than `max_bytes`, `max_members`, or `max_ratio` times its own size | `Refused` | no |
    | a 7z or rar that libarchive cannot read: in several files, a solid RAR 3, RAR before 3.0, zstd in 7z | `Unreadable` | no |
    | a 7z or rar that crashes its reader, or holds it up for five minutes | `Unreadable` | no |
    | the package for zstd is missing here, or libarchive for 7z and rar | `NotInstalled` | yes |
    | the reader of 7z and rar is ended from outside | `ProgramFailed` | yes |
    | I/O errors | the exception itself | yes |
    """

    source: Place
    sha256: Sha256 | None = Field(default=None, description="that the archive should have")
    max_bytes: MaxBytes = "100GiB"
    max_members: MaxMembers = 1_000_000
    max_ratio: MaxRatio = 200

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> Verified:
        with typed(ctx, target=self.source):
            path = source_file(ctx.locations, self.source, instead="use storage.copy, which digests folders")
            meter, form = Meter(ctx.report), format_in(path)
            with unchanging(path, where=self.source):
                digest = self._digest(path, meter)
                checking = self._check(ctx, path, form, meter)
            result = Verified(
                source=self.source,
                format=form.name,
                bytes=path.stat().st_size,
                sha256=digest,
                members=checking.members,
                files=len(checking.digests),
                content_bytes=checking.bytes,
                content_sha256=sha256_of_all(checking.digests),
            )
            logger.info("{} is whole: {:,} members, {}", shown(self.source), result.members, show_bytes(result.content_bytes))
            return result

    def _digest(self, path: Path, meter: Meter) -> str:
        meter.start("digesting", total=path.stat().st_size)
        digest = sha256_of(path, meter=meter)
        if self.sha256 not in {None, digest}:
            stop(Unreadable, f"its SHA-256 is {digest}", where=self.source, would_do="fetch it again, or from elsewhere")
        return digest

    def _check(self, ctx: Context[Progress, Trouble], path: Path, form: Format, meter: Meter) -> _Checking:
        checking = _Checking(self.source)
        bounds = limits(path, max_bytes=self.max_bytes, max_members=self.max_members, max_ratio=self.max_ratio)
        with reading_archive(ctx, path, form, where=self.source) as reading:
            meter.start("verifying", total=reading.total)
            for member, data in reading.members:
                meter.item(shown(member.name))
                bounds.admit(members=checking.members + 1, bytes_=checking.bytes + member.size, where=self.source)
                checking.add(member, data, reading, meter)
        meter.end()
        return checking


class _Checking:
    """What was read so far.

    Attributes:
        digests: SHA-256 of every file by name; of one that comes twice, the last.
    """

    def __init__(self, where: str) -> None:
        self._where: Final = where
        self.members = self.bytes = 0
        self.digests: Final[dict[str, bytes]] = {}

    def add(self, member: Member, data: Data | None, reading: Reading, meter: Meter) -> None:
        self.members += 1
        if data is not None:
            digest = hashlib.sha256()
            while chunk := data.read(CHUNK_BYTES):
                digest.update(chunk)
                self.bytes += len(chunk)
                meter.at(reading.position())
            self.digests[member.name] = digest.digest()
        elif member.sort is Sort.HARDLINK:
            if member.link not in self.digests:
                what = f"{shown(member.name)!r} is a hard link to {shown(member.link)!r}, which is no file before it"
                stop(Unreadable, what, where=self._where, would_do="make the archive again")
            self.digests[member.name] = self.digests[member.link]
