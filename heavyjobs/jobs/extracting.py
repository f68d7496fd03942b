"""An archive's members into a new folder, within limits; interrupted at any point, it goes on from its last checkpoint.

Files come first, in the archive's order. Links are made when no file is written any more, so that none can be written through,
and folders get their permissions and times last of all.

What is already done after a crash is known by its number and looked at: what is not there in its full size is written again.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Generator
from io import FileIO
from typing import Final, Literal, NoReturn, TypeAlias

from loguru import logger

from heavyjobs.jobs.limits import Limits
from heavyjobs.jobs.links import symlink_fault
from heavyjobs.jobs.members import Data, Member, Sort
from heavyjobs.jobs.names import Names
from heavyjobs.jobs.new_folder import NewFolder, keep_metadata, write_all, write_sparse
from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.progress import Meter
from heavyjobs.jobs.readers import Reading
from heavyjobs.jobs.trouble import Refused, Unreadable, shown, stop

Links: TypeAlias = Literal["inside", "skip"]
KeepAt: TypeAlias = Callable[[int, int], None]
"""Makes sure of what is written: so many members, and so many bytes of the next."""

INTERVAL_BYTES: Final = 64 << 20
INTERVAL_MEMBERS: Final = 10_000
"""After so much of either a checkpoint: what a crash costs at most."""

_NAME_FAULTS: Final = {
    errno.EEXIST: "is there already, as this file system sees it",
    errno.EISDIR: "is a folder there already",
    errno.ENOTDIR: "lies in what is no folder",
    errno.ELOOP: "lies in what is a symlink",
    errno.ENAMETOOLONG: "has a name too long for this file system",
    errno.EILSEQ: "has a name that this file system does not take",
}
"""What a file system says to a name, rather than about itself."""


class Extraction:
    """The way of an archive into a folder.

    Args:
        done: so many members, and so many bytes of the next, are there from an earlier invocation.

    Attributes:
        digests: SHA-256 of every file, hard links too, by name.
        symlinks, left_out: made; and links that `links` leaves out.
        bytes: written, or found done, in all files.
        read: members that were read.

    Raises:
        Stopped: Refused or Unreadable.
    """

    def __init__(
        self, folder: NewFolder, *, limits: Limits, links: Links, names: Names, done: tuple[int, int], keep: KeepAt, where: str
    ) -> None:
        self._folder: Final = folder
        self._limits: Final = limits
        self._links: Final = links
        self._names: Final = names
        self._done: Final = done
        self._keep: Final = keep
        self._where: Final = where
        self._unkept_bytes = self._unkept_members = 0
        self._hardlinks: Final[list[Member]] = []
        self._symlinks: Final[list[Member]] = []
        self._folders: Final[dict[str, Member]] = {}
        self.digests: Final[dict[str, bytes]] = {}
        self.symlinks = self.left_out = self.bytes = self.read = 0

    @property
    def members(self) -> int:
        """Files, links and folders, without those that were only named on the way to others."""
        return len(self.digests) + self.symlinks + len(self._folders)

    def extract(self, reading: Reading, meter: Meter) -> None:
        """Write all files, and make all folders."""

        def tick() -> None:
            meter.follow(reading.position)

        for number, (member, data) in enumerate(reading.members):
            self.read = number + 1
            meter.item(shown(member.name))
            self._admit(member)
            try:
                if data is None:
                    self._note(member)
                else:
                    self._file(number, member, data, tick)
            except OSError as error:
                self._explain(error, member)
            if number >= self._done[0]:
                self._unkept_members += 1
                if self._is_due():
                    self._keep_at(number + 1, 0)
        meter.at(reading.position())

    def finish(self) -> None:
        """Make the links, and give the folders their permissions and times."""
        for member in (*self._hardlinks, *self._symlinks):
            try:
                self._link(member)
            except OSError as error:
                self._explain(error, member)
        for member in sorted(self._folders.values(), key=lambda member: member.name.count("/"), reverse=True):
            self._folder.keep_folder_metadata(member.name, mode=member.mode, mtime_ns=member.mtime_ns)

    def _admit(self, member: Member) -> None:
        if member.sort in {Sort.SYMLINK, Sort.HARDLINK} and self._links == "skip":
            return
        fault = self._names.add(member.name, folder=member.sort is Sort.FOLDER)
        if fault:
            self._refuse(member, fault, would_do="make the archive again without it")
        if too_many := self._limits.members_fault(len(self._names)):
            stop(Refused, too_many, where=self._where, would_do="set max_members higher, if you trust it")

    def _note(self, member: Member) -> None:
        """A folder is made at once, a link at the end."""
        if member.sort is Sort.FOLDER:
            self._folder.folder(member.name)
            self._folders[member.name] = member
        elif self._links == "skip":
            self.left_out += 1
            logger.warning("left out {}: a {}", shown(member.name), member.sort)
        elif member.sort is Sort.HARDLINK:
            self._hardlinks.append(member)
        else:
            if fault := symlink_fault(member.name, member.link):
                self._refuse(
                    member, f"{fault}: {shown(member.link)!r}", would_do="set links to skip, which leaves out all links"
                )
            self._symlinks.append(member)

    def _file(self, number: int, member: Member, data: Data, tick: Callable[[], None]) -> None:
        done, offset = self._done
        if number < done and self._is_there(member, tick):
            return
        if member.sparse:  # its holes cost the archive nothing, and us hours until they are too many
            self._check_bytes(self.bytes + member.size)
        digest = hashlib.sha256()
        part = self._folder.reopen(member.name, "r+b") if number == done and offset else None
        if part is None or not self._pass_over(part, data, offset, digest.update):
            part, offset = self._folder.create(member.name), 0
        write = write_sparse if member.sparse else write_all
        with part as file:
            while chunk := data.read(CHUNK_BYTES):
                self._count(len(chunk))
                write(file, chunk)
                digest.update(chunk)
                offset += len(chunk)
                self._unkept_bytes += len(chunk)
                if number >= done and self._unkept_bytes >= INTERVAL_BYTES:
                    self._keep_at(number, offset)
                if offset >= member.size:
                    break
                tick()
            keep_metadata(file.fileno(), mode=member.mode, mtime_ns=member.mtime_ns)
        self.digests[member.name] = digest.digest()
        tick()

    def _is_there(self, member: Member, tick: Callable[[], None]) -> bool:
        """Whether a file that was done is there in its full size; what it holds is digested from the disk."""
        file = self._folder.reopen(member.name, "rb")
        if file is None:
            return False
        with file:
            if file.seek(0, 2) != member.size:
                return False
            file.seek(0)
            self._count(member.size)
            self.digests[member.name] = hashlib.file_digest(file, "sha256").digest()
        tick()
        return True

    def _pass_over(self, part: FileIO, data: Data, offset: int, update: Callable[[bytes], None]) -> bool:
        """Go to where a file was left, on the disk and in the archive; False, with nothing read, where there is less of it."""
        if part.seek(0, 2) < offset:
            part.close()
            return False
        part.truncate(offset)
        part.seek(0)
        self._count(offset)
        for chunk in _pieces(part.read, offset):
            update(chunk)
        for _ in _pieces(data.read, offset):
            pass
        return True

    def _link(self, member: Member) -> None:
        if member.sort is Sort.HARDLINK:
            self._hardlink(member)
        else:
            self._folder.symlink(member.name, member.link, mtime_ns=member.mtime_ns)
            self.symlinks += 1

    def _hardlink(self, member: Member) -> None:
        digest = self.digests.get(member.link)
        if digest is None:
            what = f"{shown(member.name)!r} is a hard link to {shown(member.link)!r}, which is no file in the archive"
            stop(Unreadable, what, where=self._where, would_do="set links to skip, which leaves out all links")
        self._folder.hardlink(member.name, member.link)
        self.digests[member.name] = digest

    def _count(self, amount: int) -> None:
        """Take account of bytes before they are written."""
        self.bytes += amount
        self._check_bytes(self.bytes)

    def _check_bytes(self, written: int) -> None:
        if fault := self._limits.bytes_fault(written):
            stop(Refused, fault, where=self._where, would_do="set max_bytes or max_ratio higher, if you trust it")

    def _is_due(self) -> bool:
        return self._unkept_bytes >= INTERVAL_BYTES or self._unkept_members >= INTERVAL_MEMBERS

    def _keep_at(self, members: int, offset: int) -> None:
        self._keep(members, offset)
        self._unkept_bytes = self._unkept_members = 0

    def _explain(self, error: OSError, member: Member) -> NoReturn:
        """Say what a file system finds wrong with a name; what is wrong with the file system itself goes on."""
        if (fault := _NAME_FAULTS.get(error.errno or 0)) is None:
            raise error
        self._refuse(member, fault, would_do="make the archive again without it, or extract it elsewhere")

    def _refuse(self, member: Member, fault: str, *, would_do: str) -> NoReturn:
        stop(Refused, f"{shown(member.name)!r} {fault}", where=self._where, would_do=would_do)


def _pieces(read: Callable[[int], bytes | None], amount: int) -> Generator[bytes]:
    """So many bytes, a piece at a time; fewer where there are no more."""
    while amount and (chunk := read(min(CHUNK_BYTES, amount))):
        amount -= len(chunk)
        yield chunk
