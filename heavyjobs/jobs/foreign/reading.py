"""A 7z or rar file as members, by a limited child.

Guarantees: the parser opens no other file and writes nothing; a file that crashes or fills what reads it costs only an error.
What comes out of it is judged as that of any archive, and has the size that it says; every sum in the file was right.
"""

from __future__ import annotations

import ctypes.util
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal, NoReturn, TypeAlias

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs.foreign import child
from heavyjobs.jobs.foreign.frames import End, Found, Frames, Unsound, Wrong
from heavyjobs.jobs.foreign.rar import ENCRYPTED, PARTS, check_rar
from heavyjobs.jobs.foreign.sevenzip import check_7z
from heavyjobs.jobs.foreign.sums import sum_like
from heavyjobs.jobs.foreign.verdicts import AGAIN, DECRYPT, ELSEWHERE, explain_end, explain_wrong, no_library
from heavyjobs.jobs.members import Data, Member, Sort, safe_name
from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.read_tar import TIME_MAX
from heavyjobs.jobs.trouble import Refused, Unreadable, shown, stop

Form: TypeAlias = Literal["7z", "rar"]

OTHER_SUM: Final = "its bytes have another sum"
_SORTS: Final = {stat.S_IFREG: Sort.FILE, stat.S_IFDIR: Sort.FOLDER, stat.S_IFLNK: Sort.SYMLINK}
_WOULD_DO: Final = {ENCRYPTED: DECRYPT, PARTS: ELSEWHERE}


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a reader needs: the members, and how many bytes of the file were read for them so far."""

    members: Iterator[tuple[Member, Data | None]]
    position: Callable[[], int]


@contextmanager
def reading_foreign(ctx: Context[Any, Any], file: BinaryIO, form: Form, *, where: str, contents: bool) -> Generator[Foreign]:
    """Have a file read, from its start.

    Args:
        contents: whether the files come with their bytes.

    Raises:
        Stopped: Unreadable, Refused or NotInstalled, at once or from the members.
        ProgramFailed: from the members, when the child was ended from outside.
    """
    sums, passed_over = _look_over(file, form, where)
    data = "all" if contents else "none" if passed_over else "unsent"
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    argv = [sys.executable, "-I", "-S", child.__file__, _library(), form, data]
    with ctx.program_bytes(argv, stdin=file.fileno()) as pieces:
        members = _Members(Frames(pieces), form, where=where, sums=sums, contents=contents)
        yield Foreign(iter(members), lambda: os.lseek(file.fileno(), 0, os.SEEK_CUR) if members.begun else 0)


def _look_over(file: BinaryIO, form: Form, where: str) -> tuple[list[bytes] | None, bool]:
    """The sums of all members, where libarchive does not check them, and whether what is in these can be passed over."""

    def fault(what: str) -> NoReturn:
        stop(Unreadable, what, where=where, would_do=_WOULD_DO.get(what, AGAIN))

    if form == "7z":
        check_7z(file, fault=fault)
        return None, False
    rar = check_rar(file, fault=fault)
    return rar.sums, not rar.solid


def _library() -> str:
    return ctypes.util.find_library("archive") or no_library("which is missing")


class _Members:
    """The members as the child tells them.

    Attributes:
        begun: whether there are bytes of one, so that the place in the file says how far it is.
    """

    def __init__(self, frames: Frames, form: Form, *, where: str, sums: list[bytes] | None, contents: bool) -> None:
        self._frames: Final = frames
        self._form: Final = form
        self._where: Final = where
        self._sums: Final = sums
        self._contents: Final = contents
        self._is_open = False
        self.begun = False

    def __iter__(self) -> Iterator[tuple[Member, Data | None]]:
        count = 0
        while (frame := self._frame(self._where)) is not End.ARCHIVE:
            if not isinstance(frame, Found):
                _unsound(self._where)
            yield from self._member(frame, self._sum(count))
            count += 1
        if self._sums is not None and len(self._sums) != count:
            self._miscounted()

    def more(self, where: str) -> bytes:
        """More bytes of the file that was told last; none at its end."""
        if not self._is_open:
            return b""
        frame = self._frame(where)
        if isinstance(frame, bytes):
            self.begun = True
            return frame
        if frame is not End.FILE:
            _unsound(where)
        self._is_open = False
        return b""

    def _frame(self, where: str) -> Found | bytes | End:
        try:
            frame = self._frames.next()
        except Unsound:
            _unsound(where)
        except ProgramFailed as failed:
            explain_end(failed, where)
        if isinstance(frame, Wrong):
            explain_wrong(frame, where)
        return frame

    def _sum(self, number: int) -> bytes:
        """Of the bytes of that member; none where libarchive checks it."""
        if self._sums is None:
            return b""
        if number >= len(self._sums):
            self._miscounted()
        return self._sums[number]

    def _miscounted(self) -> NoReturn:
        stop(Unreadable, "holds other members than its blocks say", where=self._where, would_do="do not trust this archive")

    def _member(self, found: Found, known: bytes) -> Iterator[tuple[Member, Data | None]]:
        member = self._judged(found)
        if member.sort is Sort.SYMLINK and (summing := sum_like(known)) is not None:
            summing.update(os.fsencode(member.link))
            if summing.digest() != known:
                stop(Unreadable, f"{shown(member.name)!r} is damaged: {OTHER_SUM}", where=self._where, would_do=AGAIN)
        if member.sort is not Sort.FILE or not self._contents:
            if member.name:
                yield member, None
            return
        self._is_open = True
        data = _Data(self.more, member.size, known, where=f"{self._where}, member {shown(member.name)!r}")
        if member.name:
            yield member, data
        while data.read(CHUNK_BYTES):  # what was not asked for; a wrong sum is told after the last byte
            pass

    def _judged(self, found: Found) -> Member:
        raw = found.name or ""
        if found.encrypted:
            stop(Unreadable, f"{shown(raw)!r} is encrypted", where=self._where, would_do=DECRYPT)
        sort = Sort.HARDLINK if found.hardlink is not None else _SORTS.get(stat.S_IFMT(found.type))
        if sort is None:
            what = f"{shown(raw)!r} is a device, FIFO or socket"
            stop(Refused, what, where=self._where, would_do="make the archive without it")
        if sort is Sort.FILE and found.size is None:
            what = f"{shown(raw)!r} is stored as a copy of another file, or without its size"
            stop(Unreadable, what, where=self._where, would_do=ELSEWHERE)
        return Member(
            name=safe_name(raw, archive=self._where),
            sort=sort,
            size=found.size or 0 if sort is Sort.FILE else 0,
            mtime_ns=_mtime_ns(found.mtime_ns, self._form),
            mode=stat.S_IMODE(found.mode),
            link=self._link(found, sort),
        )

    def _link(self, found: Found, sort: Sort) -> str:
        if sort is Sort.HARDLINK:
            return safe_name(found.hardlink or "", archive=self._where)
        return found.symlink or "" if sort is Sort.SYMLINK else ""


class _Data:
    """The bytes of a file, which have to be as many as it says."""

    def __init__(self, more: Callable[[str], bytes], size: int, known: bytes, *, where: str) -> None:
        self._more: Final = more
        self._known: Final = known
        self._sum: Final = sum_like(known)
        self._where: Final = where
        self._left = size
        self._rest = b""
        self._is_checked = False

    def read(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = self._more(self._where)
            self._check(self._rest)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _check(self, data: bytes) -> None:
        """Take account of what came, which is nothing at the end."""
        fault = None
        if len(data) > self._left:
            fault = "has more bytes than it says"
        elif not data and self._left:
            fault = f"{self._left:,} bytes are missing"
        elif self._sum is not None and data:
            self._sum.update(data)
        elif self._sum is not None and not self._is_checked:
            self._is_checked = True
            fault = None if self._sum.digest() == self._known else f"is damaged: {OTHER_SUM}"
        if fault:
            stop(Unreadable, fault, where=self._where, would_do=AGAIN)
        self._left -= len(data)


def _mtime_ns(told: int, form: Form) -> int:
    """To the second in a rar, of which libarchive 3.6 takes the fractions wrongly; 0 for nonsense."""
    if abs(told) >= TIME_MAX * 10**9:
        return 0
    return told // 10**9 * 10**9 if form == "rar" else told


def _unsound(where: str) -> NoReturn:
    what = "is damaged or hostile: what reads it says what makes no sense"
    stop(Unreadable, what, where=where, would_do="do not trust this archive")
