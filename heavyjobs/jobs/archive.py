"""`archive.pack` and `archive.convert`: folders and archives into tar, plain or compressed, and zip, streaming."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.codecs import format_in
from heavyjobs.jobs.members import Member, Sort, reproducible
from heavyjobs.jobs.new_archive import Archived, NewArchive, copy_data, writing_output
from heavyjobs.jobs.places import source_file, source_path
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.readers import reading_archive
from heavyjobs.jobs.tree import Tree
from heavyjobs.jobs.trouble import Trouble, Unreadable, shown, stop, typed
from heavyjobs.locations import Place


class Pack(Job[Archived, Progress, Trouble], kind="archive.pack"):
    """Pack a folder or a file into an archive whose format the target's name says: zip, tar, or tar.gz, .zst, .xz, .bz2.

    A folder keeps its own name as the first folder in the archive. Modes, times and links are kept; symlinks are stored as they
    are and never followed. An archive that is written into the folder it packs leaves itself out.

    With `reproducible`, folders with equal names and bytes in them become equal archives, byte for byte, with the same releases
    of Python and the compressors: all times are 1980-01-01, of permissions only the owner's right to execute counts, and hard
    links are stored as files of their own.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source, or something in it, is missing or may not be read | `SourceMissing` | no |
    | a file changes or goes away while it is read | `SourceChanged` | yes |
    | a place that is not open to jobs; a name that the format cannot hold | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | no known format by the target's name, no such folder, a name that is too long | `TargetUnusable` | no |
    | the package for zstd is missing here | `NotInstalled` | yes |
    | sockets, FIFOs, devices | left out, a warning in the log, counted in `skipped` | |
    | the disk is full, I/O errors | the exception itself | yes |
    """

    source: Place
    target: Place
    exclude: list[str] = Field(default=[], description="name patterns to leave out, like .git or *.tmp")
    overwrite: bool = False
    reproducible: bool = Field(default=False, description="equal files become equal archives, without times and permissions")

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> Archived:
        with typed(ctx, target=self.target):
            source = source_path(ctx.locations, self.source)
            with writing_output(ctx, self.target, overwrite=self.overwrite) as new:
                root = Path(os.path.realpath(source))
                tree = Tree(
                    root,
                    name=source.name or "root",
                    without=new.own_paths,
                    exclude=self.exclude,
                    hardlinks=new.holds_hardlinks and not self.reproducible,
                )
                new.start("packing", total=tree.measure().bytes)
                for member, data in tree.members():
                    new.add(reproducible(member) if self.reproducible else member, data, new.meter.add)
                new.skipped = tree.skipped
            return new.archived()


class Convert(Job[Archived, Progress, Trouble], kind="archive.convert"):
    """Turn an archive into another whose format the target's name says, member by member, without unpacking it to disk.

    The source's format is taken from its content. Names, modes, times and links are kept. A zip holds no hard links: those
    become files of their own.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | no archive, truncated, damaged, encrypted, contradictory entries, data in front or after its end | `Unreadable` | no |
    | a member with an absolute name, `..`, NUL; a device or FIFO | `Refused` | no |
    | headers or compressed data that need too much memory | `Refused` | no |
    | a name twice, or not Unicode, into a zip; a place that is not open to jobs | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | no known format by the target's name, no such folder, a name that is too long | `TargetUnusable` | no |
    | the package for zstd is missing here | `NotInstalled` | yes |
    | the disk is full, I/O errors | the exception itself | yes |
    """

    source: Place
    target: Place
    overwrite: bool = False

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> Archived:
        with typed(ctx, target=self.target):
            source = source_file(ctx.locations, self.source, instead="use archive.pack for folders")
            with writing_output(ctx, self.target, overwrite=self.overwrite) as new:
                links = self._copy(source, new)
                if links:
                    self._copy_linked(source, new, links, scratch=ctx.workspace / "linked")
            return new.archived()

    def _copy(self, source: Path, new: NewArchive) -> dict[str, list[Member]]:
        """Copy each member, and give back the hard links that the new archive cannot hold, by the name of their file."""
        links: dict[str, list[Member]] = {}
        names: dict[str, str] = {}
        with reading_archive(source, format_in(source), where=self.source) as reading:
            new.start("converting", total=reading.total)
            for member, data in reading.members:
                if member.sort is Sort.HARDLINK and not new.holds_hardlinks:
                    names[member.name] = names.get(member.link, member.link)
                    links.setdefault(names[member.name], []).append(member)
                else:
                    new.add(member, data, lambda _: new.meter.follow(reading.position))
        return links

    def _copy_linked(self, source: Path, new: NewArchive, links: dict[str, list[Member]], *, scratch: Path) -> None:
        """Read the source again, and add what hard links name as files of their own."""
        with reading_archive(source, format_in(source), where=self.source) as reading:
            new.start("copying hard links", total=reading.total)
            for member, data in reading.members:
                if member.name in links and data is not None:
                    with scratch.open("wb") as file:
                        copy_data(data, file)
                    for link in links.pop(member.name):
                        with scratch.open("rb") as file:
                            new.add(replace(member, name=link.name), file, lambda _: new.meter.follow(reading.position))
        if links:
            what = f"a hard link to {shown(next(iter(links)))!r}, which is not a file in the archive"
            stop(Unreadable, what, where=self.source, would_do="use a tar format for the target, which can hold it")
