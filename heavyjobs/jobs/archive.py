"""`archive.pack` and `archive.convert`: folders and archives into tar, plain or compressed, and zip, streaming."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.archive_checkpoint import Archived
from heavyjobs.jobs.codecs import format_in
from heavyjobs.jobs.finished import finished
from heavyjobs.jobs.members import Member, Sort, reproducible
from heavyjobs.jobs.new_archive import ArchiveOutput, NewArchive, copy_data, writing_output
from heavyjobs.jobs.places import source_file, source_path, unchanging
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.readers import reading_archive
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
            links = self._copy(ctx, source, new, hardlinks=out.form.holds_hardlinks)
            if links:
                self._copy_linked(ctx, source, new, links)
        return out.archived()

    def _copy(
        self, ctx: Context[Progress, Trouble], source: Path, new: NewArchive, *, hardlinks: bool
    ) -> dict[str, list[Member]]:
        """Copy each member, and give back the hard links, where it cannot hold them, by the name of their file."""
        links: dict[str, list[Member]] = {}
        names: dict[str, str] = {}
        with reading_archive(ctx, source, format_in(source), where=self.source) as reading:
            new.start("converting", total=reading.total)
            for member, data in reading.members:
                if member.sort is Sort.HARDLINK and not hardlinks:
                    names[member.name] = names.get(member.link, member.link)
                    links.setdefault(names[member.name], []).append(member)
                else:
                    new.add(member, data, lambda _: new.meter.follow(reading.position))
        return links

    def _copy_linked(
        self, ctx: Context[Progress, Trouble], source: Path, new: NewArchive, links: dict[str, list[Member]]
    ) -> None:
        """Read the source again, and add what hard links name as files of their own."""
        scratch = ctx.workspace / "linked"
        with reading_archive(ctx, source, format_in(source), where=self.source) as reading:
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
