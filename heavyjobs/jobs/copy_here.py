"""A file or a tree from one folder of this host to another, with its digest, read back before it counts.

After a crash it goes on: files that are there whole, and the part of a large one that is on the disk, are only digested again,
for the state of a hash cannot be kept.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple, NoReturn, TypeAlias

from loguru import logger

from heavyjobs import durable
from heavyjobs.context import Context
from heavyjobs.jobs.copy_file import FileCopy
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.finished import Finished
from heavyjobs.jobs.members import Member, Sort
from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.tree import Tree, Unchanging
from heavyjobs.jobs.trouble import OutputWrong, Refused, Stopped, TargetUnusable, shown, stop
from heavyjobs.outputs import Output, remove
from heavyjobs.units import show_bytes

Verify: TypeAlias = Literal["none", "stream", "readback"]


class Here(NamedTuple):
    """What was copied, and what was kept meanwhile."""

    files: int
    skipped: int
    bytes: int
    sha256: str
    mark: Mark


class Mark(Finished):
    """How far it is; the checkpoint: as much is on the disk, in the unfinished output that this claim has begun.

    Attributes:
        members: of the tree, in its order, that are done.
        name, version, offset: of the large file that is being copied.
    """

    begun_by: int = 0
    members: int = 0
    name: str = ""
    version: str = ""
    offset: int = 0


def copy_here(
    ctx: Context[Progress, Any], source: Path, target: str, *, out: Output, verify: Verify, interval_bytes: int
) -> Here:
    """Copy a file or folder of this host to `out`, kept as done every so many bytes; `target` is its name for people.

    Raises:
        Stopped: what is wrong.
    """
    tree = Tree(source, name="", hardlinks=False)
    copying = _Copying(ctx, out, read_back=verify == "readback", interval_bytes=interval_bytes)
    try:
        with _with_room(target):
            copying.copy(tree)
            if verify != "none":
                copying.check()
    except Stopped:
        remove(out.path)  # it is what went wrong, or nobody goes on with it
        raise
    logger.info("copied {}: {:,} files, {}", shown(target), len(copying.files), show_bytes(copying.bytes))
    return Here(len(copying.files), tree.skipped, copying.bytes, copying.sha256(), copying.mark)


def check_apart(source: Path, target: Path, *, text: str) -> None:
    """Make sure that neither holds the other.

    Raises:
        Stopped: Refused.
    """
    if target.is_relative_to(source):
        stop(Refused, "lies in the source", where=text, would_do="use a target outside of it")
    if source.is_relative_to(target):
        stop(Refused, "holds the source, which would be lost", where=text, would_do="use another target")


@contextmanager
def _with_room(target: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        what = f"there is no room for it: {error.strerror}"
        stop(TargetUnusable, what, where=target, would_do="make room, or use another target")


class _File(NamedTuple):
    """A file that was written; `checked` says that it was read back meanwhile."""

    name: str
    bytes: int
    sha256: str
    checked: bool = False


class _Copying:
    """A copy in the making, under `root`.

    Attributes:
        files: those that were written, in order. mark: how far it is.
    """

    def __init__(self, ctx: Context[Progress, Any], out: Output, *, read_back: bool, interval_bytes: int) -> None:
        self._ctx: Final = ctx
        self._root: Final = out.path
        self._meter: Final = Meter(ctx.report)
        self._interval_bytes: Final = interval_bytes
        self._read_back: Final = read_back
        left = ctx.resume(Mark)
        self._left: Final = left if left is not None and left.begun_by == out.begun_by else Mark()
        if self._left.begun_by == 0:
            remove(out.path)  # nothing says how much of it is sound
        self.mark: Final = Mark(begun_by=out.begun_by)
        self._unkept = 0
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
        folders, names = list[Member](), set[str]()
        for member, data in tree.members():
            self._meter.item(shown(member.name))
            names.add(member.name)
            if data is not None:
                self.files.append(self._file(member, data))
            elif member.sort is Sort.FOLDER:
                self._folder(self._path(member.name))
                folders.append(member)
            else:
                self._symlink(member)
            self.mark.members += 1
            if self._unkept >= self._interval_bytes:
                self._keep()
        self._remove_others(names)
        for folder in reversed(folders):
            _keep_metadata(self._path(folder.name), folder)
        self._meter.end()

    def check(self) -> None:
        """Compare what was written with what was read: sizes, or all of it, from the disk.

        Raises:
            Stopped: OutputWrong.
        """
        if self._read_back:
            durable.sync_tree(self._root)  # only clean pages can be dropped from the cache
            self._meter.start("verifying", total=sum(file.bytes for file in self.files if not file.checked))
        for file in self.files:
            self._meter.item(shown(file.name))
            path = self._path(file.name)
            again = self._read_back and not file.checked
            if path.stat().st_size != file.bytes or (again and self._from_disk(path) != file.sha256):
                _wrong(path)

    def _path(self, name: str) -> Path:
        return self._root / name if name else self._root

    def _file(self, member: Member, data: Unchanging) -> _File:
        path = self._path(member.name)
        if self.mark.members < self._left.members and _is_copied(path, member):
            return self._small(member, data, None)
        if member.size > self._interval_bytes:
            return self._large(member, data, path)
        remove(path)
        with path.open("xb") as file:
            copied = self._small(member, data, file)
        _keep_metadata(path, member)
        self._unkept += copied.bytes
        return copied

    def _small(self, member: Member, data: Unchanging, file: BinaryIO | None) -> _File:
        """Digest a file, and write it, unless it is there."""
        digest, size = hashlib.sha256(), 0
        while chunk := data.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            if file is not None:
                file.write(chunk)
            self._meter.add(len(chunk))
        return _File(member.name, size, digest.hexdigest())

    def _large(self, member: Member, data: Unchanging, path: Path) -> _File:
        done = self._done_of(member, path)
        if done:
            logger.info("going on with {} at byte {} of {}", shown(member.name or path), done, member.size)
        else:
            remove(path)
        self.mark.name, self.mark.version = member.name, _version(member)

        def kept(offset: int) -> None:
            self.mark.offset = offset
            self._keep()

        target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            copy = FileCopy(
                data.descriptor,
                target,
                member.size,
                done=done,
                interval_bytes=self._interval_bytes,
                read_back=self._read_back,
                kept=kept,
                add=self._meter.add,
            )
            digests = copy.run()
            data.read_elsewhere()
        finally:
            os.close(target)
        if digests.target not in {None, digests.source}:
            _wrong(path)
        _keep_metadata(path, member)
        return _File(member.name, member.size, digests.source, checked=self._read_back)

    def _done_of(self, member: Member, path: Path) -> int:
        """How much of a large file is on the disk."""
        left = self._left
        under_way = (left.members, left.name, left.version) == (self.mark.members, member.name, _version(member))
        return left.offset if under_way and path.is_file() and path.stat().st_size == member.size else 0

    def _keep(self) -> None:
        """Have what was written on the disk, then in the checkpoint; what an earlier attempt kept stays true meanwhile."""
        if self._unkept:
            durable.sync_tree(self._root)
            self._unkept = 0
        if self.mark.members >= self._left.members:
            self._ctx.checkpoint(self.mark)

    def _symlink(self, member: Member) -> None:
        path = self._path(member.name)
        remove(path)
        path.symlink_to(member.link)
        os.utime(path, ns=(member.mtime_ns, member.mtime_ns), follow_symlinks=False)

    def _folder(self, path: Path) -> None:
        """A folder to write into: a new one, or that of an earlier attempt."""
        if path.is_symlink() or not path.is_dir():
            remove(path)
            path.mkdir()
        elif self._left.begun_by:
            path.chmod(0o700)

    def _remove_others(self, names: set[str]) -> None:
        """Remove what an earlier attempt copied, and the source holds no more."""
        if not self._left.begun_by or not self._root.is_dir():
            return
        for parent, folders, files in os.walk(self._root):
            below = Path(parent).relative_to(self._root)
            for name in (*folders, *files):
                if (below / name).as_posix() not in names:
                    remove(Path(parent, name))
            folders[:] = [name for name in folders if (below / name).as_posix() in names]

    def _from_disk(self, path: Path) -> str:
        _drop_cache(path)
        return sha256_of(path, meter=self._meter)


def _is_copied(path: Path, member: Member) -> bool:
    """Whether an earlier attempt has finished a file: its time is set last."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (member.size, member.mtime_ns)


def _version(member: Member) -> str:
    return f"{member.size}-{member.mtime_ns}"


def _wrong(path: Path) -> NoReturn:
    stop(OutputWrong, "is not what was read", where=path, would_do="try again, and check the disk if it recurs")


def _keep_metadata(path: Path, member: Member) -> None:
    path.chmod(member.mode)
    os.utime(path, ns=(member.mtime_ns, member.mtime_ns))


def _drop_cache(path: Path) -> None:
    """Make the next read come from the disk, where the system can."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
