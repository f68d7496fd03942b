"""`archive.extract`: an archive that nobody vouches for into a new folder, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from loguru import logger
from pydantic import Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.codecs import format_in
from heavyjobs.jobs.digests import sha256_of_all
from heavyjobs.jobs.extract_checkpoint import Extracted, Keeping, published
from heavyjobs.jobs.extracting import Extraction, Links
from heavyjobs.jobs.limits import MaxBytes, MaxMembers, MaxRatio, limits
from heavyjobs.jobs.names import Names
from heavyjobs.jobs.new_folder import new_folder
from heavyjobs.jobs.places import source_file, state_of, target_path, unchanging
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.readers import reading_archive
from heavyjobs.jobs.trouble import Refused, Trouble, shown, stop, typed
from heavyjobs.locations import Place
from heavyjobs.outputs import Output
from heavyjobs.units import show_bytes

PATH_ROOM_BYTES: Final = 4095
"""Of a whole path, which those who read the folder later need to be able to say."""


class Extract(Job[Extracted, Progress, Trouble], kind="archive.extract"):
    """Unpack an archive (tar, tar.gz, tar.zst, tar.xz, tar.bz2, zip, 7z, rar) into a new folder, which appears whole.

    The format is taken from the content. Modes and times are kept, but no setuid, setgid or sticky bits and no permission for
    others to write; owners are not kept. Nothing is written outside of the folder, whatever the archive holds: names are
    opened component by component and never through a symlink, and links are made last. Archives within stay as they are. What a
    tar stored as sparse gets its holes again; its limits, sums and counts are those of all its bytes.

    7z and rar are read by libarchive, in a process of its own that can open nothing else, with at most 512 MiB of memory. The
    names of a 7z come in Unicode's composed form, the times of a rar to the second.

    A crash costs at most 64 MB or 10,000 members: the next attempt reads the archive again, and writes what is missing.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | the source changes while it is read | `SourceChanged` | yes |
    | no archive, truncated, damaged, encrypted, contradictory entries, data in front or after its end | `Unreadable` | no |
    | a hard link to what is no file in the archive | `Unreadable` | no |
    | an absolute name, `..`, NUL; a device or FIFO; a name too long or too deep | `Refused` | no |
    | headers or compressed data that need too much memory | `Refused` | no |
    | a symlink that could lead out (left out, with all links, when `links` is `skip`) | `Refused` | no |
    | a name twice, or as file and folder; two that differ in case or Unicode form only, unless `exact_names` | `Refused` | no |
    | more than `max_bytes` or `max_members`, or more than `max_ratio` times its own size, as written | `Refused` | no |
    | a place that is not open to jobs; a target that is or holds the source | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | no such folder to write to, a name that is too long | `TargetUnusable` | no |
    | a 7z or rar that libarchive cannot read: in several files, a solid RAR 3, RAR before 3.0, zstd in 7z | `Unreadable` | no |
    | a 7z or rar that crashes its reader, or holds it up for five minutes | `Unreadable` | no |
    | the package for zstd is missing here, or libarchive for 7z and rar | `NotInstalled` | yes |
    | the reader of 7z and rar is ended from outside | `ProgramFailed` | yes |
    | the disk is full, I/O errors | the exception itself | yes |
    """

    source: Place
    target: Place
    overwrite: bool = False
    links: Links = Field(default="inside", description="make links that stay inside, refusing others, or skip all")
    exact_names: bool = Field(default=False, description="let names differ in case or Unicode form only")
    max_bytes: MaxBytes = "100GiB"
    max_members: MaxMembers = 1_000_000
    max_ratio: MaxRatio = 200

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> Extracted:
        with typed(ctx, target=self.target):
            source = source_file(ctx.locations, self.source, instead="use storage.copy for folders")
            return published(ctx, source=state_of(source)) or self._publish(ctx, source)

    def _publish(self, ctx: Context[Progress, Trouble], source: Path) -> Extracted:
        target = target_path(ctx.locations, self.target, overwrite=self.overwrite, folder=True)
        self._check_apart(source, target)
        with ctx.output(self.target, replace=self.overwrite, resume=True) as out:
            with unchanging(source, where=self.source) as state:
                keeping = Keeping(ctx, out, source=state)
                extraction = self._extract(ctx, source, out, keeping)
            result = self._result(extraction, form=format_in(source).name, path=target)
            keeping.finish(extraction.read, result)
        logger.info("extracted {}: {:,} members, {}", shown(self.target), result.members, show_bytes(result.bytes))
        return result

    def _extract(self, ctx: Context[Progress, Trouble], source: Path, out: Output, keeping: Keeping) -> Extraction:
        meter, done = Meter(ctx.report), keeping.done()
        with (
            new_folder(out.path, again=out.path.exists(), shield=ctx.shielded) as folder,
            reading_archive(ctx, source, format_in(source), where=self.source) as reading,
        ):
            logger.info("extracting: {} to read", show_bytes(reading.total))
            meter.start("extracting", total=reading.total)
            extraction = Extraction(
                folder,
                limits=limits(source, max_bytes=self.max_bytes, max_members=self.max_members, max_ratio=self.max_ratio),
                links=self.links,
                names=Names(exact=self.exact_names, max_bytes=PATH_ROOM_BYTES - len(os.fsencode(out.path))),
                done=done,
                keep=keeping.keep,
                where=self.source,
            )
            extraction.extract(reading, meter)
            extraction.finish()
        meter.end()
        return extraction

    def _check_apart(self, source: Path, target: Path) -> None:
        if Path(os.path.realpath(source)).is_relative_to(os.path.realpath(target)):
            stop(Refused, "is or holds the source, which would be lost", where=self.target, would_do="use another target")

    def _result(self, extraction: Extraction, *, form: str, path: Path) -> Extracted:
        return Extracted(
            target=self.target,
            path=str(path),
            format=form,
            members=extraction.members,
            files=len(extraction.digests),
            symlinks=extraction.symlinks,
            left_out=extraction.left_out,
            bytes=extraction.bytes,
            sha256=sha256_of_all(extraction.digests),
        )
