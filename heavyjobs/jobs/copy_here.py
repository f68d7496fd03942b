"""A file or a tree from one folder of this host to another, with its digest, read back before it counts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from loguru import logger

from heavyjobs import durable
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.members import Data, Member, Sort
from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.tree import Tree
from heavyjobs.jobs.trouble import OutputWrong, Refused, shown, stop
from heavyjobs.units import show_bytes

Verify: TypeAlias = Literal["none", "stream", "readback"]


class Here(NamedTuple):
    """What was copied."""

    files: int
    skipped: int
    bytes: int
    sha256: str


def copy_here(source: Path, target: str, *, out: Path, verify: Verify, meter: Meter) -> Here:
    """Copy a file or folder of this host to `out`; `target` is its name for people."""
    tree = Tree(source, name="", hardlinks=False)
    copying = _Copying(out, meter)
    copying.copy(tree)
    if verify != "none":
        copying.check(read_back=verify == "readback")
    logger.info("copied {}: {:,} files, {}", shown(target), len(copying.files), show_bytes(copying.bytes))
    return Here(len(copying.files), tree.skipped, copying.bytes, copying.sha256())


def check_apart(source: Path, target: Path, *, text: str) -> None:
    """Make sure that neither holds the other.

    Raises:
        Stopped: Refused.
    """
    if target.is_relative_to(source):
        stop(Refused, "lies in the source", where=text, would_do="use a target outside of it")
    if source.is_relative_to(target):
        stop(Refused, "holds the source, which would be lost", where=text, would_do="use another target")


class _File(NamedTuple):
    name: str
    bytes: int
    sha256: str


class _Copying:
    """A copy in the making, under `root`.

    Attributes:
        files: those that were written, in order.
    """

    def __init__(self, root: Path, meter: Meter) -> None:
        self._root: Final = root
        self._meter: Final = meter
        self.files: Final[list[_File]] = []

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def sha256(self) -> str:
        """Of the one file, or of the list of all."""
        if [file.name for file in self.files] == [""]:
            return self.files[0].sha256
        lines = (f"{file.sha256}  {file.name}\n".encode(errors="surrogateescape") for file in self.files)
        return hashlib.sha256(b"".join(lines)).hexdigest()

    def copy(self, tree: Tree) -> None:
        """Copy every member; folders get their modes and times last, when nothing more is written into them."""
        total = tree.measure().bytes
        logger.info("copying: {} to read", show_bytes(total))
        self._meter.start("copying", total=total)
        folders: list[Member] = []
        for member, data in tree.members():
            self._meter.item(shown(member.name))
            if data is not None:
                self.files.append(self._file(member, data))
            elif member.sort is Sort.FOLDER:
                self._path(member.name).mkdir()
                folders.append(member)
            else:
                self._symlink(member)
        for folder in reversed(folders):
            _keep_metadata(self._path(folder.name), folder)
        self._meter.end()

    def check(self, *, read_back: bool) -> None:
        """Compare what was written with what was read: sizes, or all of it, from the disk.

        Raises:
            Stopped: OutputWrong.
        """
        if read_back:
            durable.sync_tree(self._root)  # only clean pages can be dropped from the cache
            self._meter.start("verifying", total=self.bytes)
        for file in self.files:
            self._meter.item(shown(file.name))
            path = self._path(file.name)
            if path.stat().st_size != file.bytes or (read_back and self._read_back(path) != file.sha256):
                stop(OutputWrong, "is not what was read", where=path, would_do="try again, and check the disk if it recurs")

    def _path(self, name: str) -> Path:
        return self._root / name if name else self._root

    def _file(self, member: Member, data: Data) -> _File:
        digest, size = hashlib.sha256(), 0
        path = self._path(member.name)
        with path.open("xb") as file:
            while chunk := data.read(CHUNK_BYTES):
                digest.update(chunk)
                size += file.write(chunk)
                self._meter.add(len(chunk))
        _keep_metadata(path, member)
        return _File(member.name, size, digest.hexdigest())

    def _symlink(self, member: Member) -> None:
        path = self._path(member.name)
        path.symlink_to(member.link)
        os.utime(path, ns=(member.mtime_ns, member.mtime_ns), follow_symlinks=False)

    def _read_back(self, path: Path) -> str:
        _drop_cache(path)
        return sha256_of(path, meter=self._meter)


def _keep_metadata(path: Path, member: Member) -> None:
    path.chmod(member.mode)
    os.utime(path, ns=(member.mtime_ns, member.mtime_ns))


def _drop_cache(path: Path) -> None:
    """Make the next read come from the disk, where the system can."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
