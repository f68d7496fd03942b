"""`archive.pack` and `archive.convert`: folders and archives into tar, plain or compressed, and zip, streaming."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.archive_checkpoint import Archived
from heavyjobs.jobs.codecs import format_in
from heavyjobs.jobs.finished import finished
from heavyjobs.jobs.limits import Limits, MaxBytes, MaxMembers, MaxRatio, limits
from heavyjobs.jobs.members import Data, Member, Sort, reproducible
from heavyjobs.jobs.new_archive import ArchiveOutput, NewArchive, copy_data, writing_output
from heavyjobs.jobs.places import source_file, source_path, unchanging
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.readers import Reading, reading_archive
from heavyjobs.jobs.tree import Tree
from heavyjobs.jobs.trouble import Refused, Trouble, Unreadable, shown, stop, typed
from heavyjobs.locations import Place, Places


class Pack(Job[Archived, Progress, Trouble], kind="archive.pack"):
    """Pack folders and files into an archive whose format the target's name says: zip, tar, or tar.gz, .zst, .xz, .bz2.

    A folder keeps its own name as the first folder in the archive. Modes, times and links are kept; symlinks are stored as they
    are and never followed. An archive that is written into the folder it packs leaves itself out.

    With `reproducible`, folders with equal names and bytes in them become equal archives, byte for byte, with the same releases
    of Python and the compressors: all times are 1980-01-01, of permissions only the owner's right to execute counts, and hard
    links are stored as files of their own.

    A crash costs at most 64 MB or 10,000 members, and the file that was being packed: the next attempt goes on behind them, if
    nothing in the sources has changed.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source, or something in it, is missing or may not be read | `SourceMissing` | no |
    | a file changes or goes away while it is read | `SourceChanged` | yes |
    | a place that is not open to jobs; two sources of one name; a name that the format cannot hold | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | no known format by the target's name, no such folder, a name that is too long | `TargetUnusable` | no |
    | the package for zstd is missing here | `NotInstalled` | yes |
    | sockets, FIFOs, devices | left out, a warning in the log, counted in `skipped` | |
    | the disk is full, I/O errors | the exception itself | yes |
    """

    source: Places = Field(description="a folder or file, or several, each under its own name")
    target: Place
    exclude: list[str] = Field(default=[], description="name patterns to leave out, like .git or *.tmp")
    overwrite: bool = False
    reproducible: bool = Field(default=False, description="equal files become equal archives, without times and permissions")

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> Archived:
        with typed(ctx, target=self.target):
            return finished(ctx, Archived) or self._publish(ctx)

    def _publish(self, ctx: Context[Progress, Trouble]) -> Archived:
        sources = self._sources(ctx)
        with writing_output(ctx, self.target, overwrite=self.overwrite) as out:
            trees = [self._tree(name, path, out) for name, path in sources.items()]
            totals = [tree.measure() for tree in trees]
            with out.writing(source=" ".join(total.state for total in totals)) as new:
                new.start("packing", total=sum(total.bytes for total in totals))
                for tree in trees:
                    self._pack(tree, new)
        return out.archived()

    def _sources(self, ctx: Context[Progress, Trouble]) -> dict[str, Path]:
        """All of them by the names that they get."""
        sources: dict[str, Path] = {}
        for text in [self.source] if isinstance(self.source, str) else self.source:
            path = source_path(ctx.locations, text)
            name = path.name or "root"
            if name in sources:
                what = f"two sources called {shown(name)!r}"
                stop(Refused, what, where=text, would_do="pack the folder that holds both, or rename one")
            sources[name] = path
        return sources

    def _tree(self, name: str, path: Path, out: ArchiveOutput) -> Tree:
        root = Path(os.path.realpath(path))
        hardlinks = out.form.holds_hardlinks and not self.reproducible
        return Tree(root, name=name, without=out.own_paths, exclude=self.exclude, hardlinks=hardlinks)

    def _pack(self, tree: Tree, new: NewArchive) -> None:
        for member, data in tree.members():
            new.add(reproducible(member) if self.reproducible else member, data, new.meter.add)
        new.skipped += tree.skipped


class Convert(Job[Archived, Progress, Trouble], kind="archive.convert"):
    """Turn an archive into another whose format the target's name says, member by member, without unpacking it to disk.

    The source's format is taken from its content: those that can be written, and 7z and rar, which libarchive reads in a
    process of its own that can open nothing else. Names, modes, times and links are kept; the names of a 7z come in Unicode's
    composed form, the times of a rar to the second. A zip holds no hard links: those become files of their own.

    A crash costs at most 64 MB or 10,000 members, and the one that was being written: the next attempt reads the source again,
    and goes on behind them.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | the source changes while it is read | `SourceChanged` | yes |
    | no archive, truncated, damaged, encrypted, contradictory entries, data in front or after its end | `Unreadable` | no |
    | a member with an absolute name, `..`, NUL; a device or FIFO | `Refused` | no |
    | headers or compressed data that need too much memory | `Refused` | no |
    | a name twice, or not Unicode, into a zip; a place that is not open to jobs | `Refused` | no |
    | more than `max_bytes`, `max_members`, or `max_ratio` times its own size | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | no known format by the target's name, no such folder, a name that is too long | `TargetUnusable` | no |
    | a 7z or rar that libarchive cannot read: in several files, a solid RAR 3, RAR before 3.0, zstd in 7z | `Unreadable` | no |
    | a 7z or rar that crashes its reader, or holds it up for five minutes | `Unreadable` | no |
    | the package for zstd is missing here, or libarchive for 7z and rar | `NotInstalled` | yes |
    | the reader of 7z and rar is ended from outside | `ProgramFailed` | yes |
    | the disk is full, I/O errors | the exception itself | yes |
    """

    source: Place
    target: Place
    overwrite: bool = False
    max_bytes: MaxBytes = "100GiB"
    max_members: MaxMembers = 1_000_000
    max_ratio: MaxRatio = 200

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> Archived:
        with typed(ctx, target=self.target):
            return finished(ctx, Archived) or self._publish(ctx)

    def _publish(self, ctx: Context[Progress, Trouble]) -> Archived:
        source = source_file(ctx.locations, self.source, instead="use archive.pack for folders")
        with (
            writing_output(ctx, self.target, overwrite=self.overwrite) as out,
            unchanging(source, where=self.source) as state,
            out.writing(source=state) as new,
        ):
            copying = _Copying(new, source, self.source, bounds=self._limits(source))
            links = copying.copy(ctx, hardlinks=out.form.holds_hardlinks)
            if links:
                copying.copy_linked(ctx, links)
        return out.archived()

    def _limits(self, source: Path) -> Limits:
        return limits(source, max_bytes=self.max_bytes, max_members=self.max_members, max_ratio=self.max_ratio)


class _Copying:
    """The members of an archive on their way into another, within the limits; `where` names the first in errors."""

    def __init__(self, new: NewArchive, source: Path, where: str, *, bounds: Limits) -> None:
        self._new: Final = new
        self._source: Final = source
        self._where: Final = where
        self._bounds: Final = bounds

    def copy(self, ctx: Context[Progress, Trouble], *, hardlinks: bool) -> dict[str, list[Member]]:
        """Copy each member, and give back the hard links, where it cannot hold them, by the name of their file."""
        links: dict[str, list[Member]] = {}
        names: dict[str, str] = {}
        with self._reading(ctx, "converting") as reading:
            for member, data in reading.members:
                if member.sort is Sort.HARDLINK and not hardlinks:
                    names[member.name] = names.get(member.link, member.link)
                    links.setdefault(names[member.name], []).append(member)
                else:
                    self._add(member, data, reading)
        return links

    def copy_linked(self, ctx: Context[Progress, Trouble], links: dict[str, list[Member]]) -> None:
        """Read the source again, and add what hard links name as files of their own."""
        scratch = ctx.workspace / "linked"
        with self._reading(ctx, "copying hard links") as reading:
            for member, data in reading.members:
                if member.name in links and data is not None:
                    with scratch.open("wb") as file:
                        copy_data(data, file)
                    for link in links.pop(member.name):
                        with scratch.open("rb") as file:
                            self._add(replace(member, name=link.name), file, reading)
        if links:
            what = f"a hard link to {shown(next(iter(links)))!r}, which is not a file in the archive"
            stop(Unreadable, what, where=self._where, would_do="use a tar format for the target, which can hold it")

    @contextmanager
    def _reading(self, ctx: Context[Progress, Trouble], phase: str) -> Generator[Reading]:
        with reading_archive(ctx, self._source, format_in(self._source), where=self._where) as reading:
            self._new.start(phase, total=reading.total)
            yield reading

    def _add(self, member: Member, data: Data | None, reading: Reading) -> None:
        new = self._new
        self._bounds.admit(members=new.members + 1, bytes_=new.content_bytes + member.size, where=self._where)
        new.add(member, data, lambda _: new.meter.at(reading.position()))
