"""Sources and targets of the job types in the box: checked before the work, with typed errors."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from heavyjobs.errors import PathRefused
from heavyjobs.jobs.trouble import Refused, SourceChanged, SourceMissing, Stopped, TargetTaken, TargetUnusable, stop
from heavyjobs.locations import Locations
from heavyjobs.parts import NAME_MAX_BYTES

CHUNK_BYTES: Final = 1 << 20


def source_path(locations: Locations, text: str) -> Path:
    """Where a source lies; it exists, symlinks to it are followed.

    Raises:
        Stopped: SourceMissing or Refused.
    """
    path = _allowed(locations, text)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        stop(SourceMissing, "no such file or folder", where=text, would_do="check the path, and that this host has it")
    except PermissionError:
        stop(SourceMissing, "may not be read", where=text, would_do="give the runner permission to read it")
    except OSError as error:  # a name that is too long, a loop of symlinks
        stop(SourceMissing, f"cannot be opened: {error.strerror}", where=text, would_do="check the path")
    return path


def source_file(locations: Locations, text: str, *, instead: str) -> Path:
    """Where a source lies that is a regular file; `instead` says what would do for a folder.

    Raises:
        Stopped: SourceMissing or Refused.
    """
    path = source_path(locations, text)
    if path.is_dir():
        stop(SourceMissing, "is a folder", where=text, would_do=instead)
    if not path.is_file():
        stop(SourceMissing, "is not a regular file", where=text, would_do="copy its content to a file first")
    if not os.access(path, os.R_OK):
        stop(SourceMissing, "may not be read", where=text, would_do="give the runner permission to read it")
    return path


def target_path(locations: Locations, text: str, *, overwrite: bool, folder: bool = False) -> Path:
    """Where a target will lie, after the checks that spare work in vain; `ctx.output` checks again.

    Args:
        folder: whether a folder will be written, which may then replace a folder; a file never does.

    Raises:
        Stopped: TargetTaken, TargetUnusable or Refused.
    """
    path = _allowed(locations, text)
    if not overwrite and os.path.lexists(path):
        stop(TargetTaken, "exists", where=text, would_do="use another target, or set overwrite")
    if not _is_folder(path.parent):
        stop(TargetUnusable, f"there is no folder {path.parent}", where=text, would_do="make it first")
    if len(os.fsencode(path.name)) > NAME_MAX_BYTES:
        stop(TargetUnusable, "the name is too long", where=text, would_do=f"use one of at most {NAME_MAX_BYTES} bytes")
    if not folder and _is_folder(path) and not path.is_symlink():
        stop(TargetTaken, "is a folder", where=text, would_do="use another target, or remove it yourself")
    return path


def check_other(source: Path, target: Path, *, where: str) -> None:
    """Stop before an output replaces what it is made from.

    Raises:
        Stopped: Refused.
    """
    if Path(os.path.realpath(target.parent)) / target.name == Path(os.path.realpath(source)):
        stop(Refused, "is the source, which would be lost", where=where, would_do="use another target")


def open_regular(path: Path | str) -> BinaryIO:
    """Open a regular file to read, neither through a symlink nor waiting for a FIFO's writer.

    Raises:
        OSError: it is another sort of file by now, or gone.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileNotFoundError(f"{path} is no regular file any more")
    return file


def state_of(path: Path) -> str:
    """What of a file or folder changes when its content does; a new name changes nothing."""
    status = path.stat()
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


@contextmanager
def unchanging(path: Path, *, where: str) -> Generator[str]:
    """Read a source whose `state_of` has to be the same when the block is left; it is given to the block.

    Raises:
        Stopped: SourceChanged, also in the place of whatever was found wrong with a source that changed meanwhile.
    """
    before = state_of(path)
    try:
        yield before
    except Stopped:
        _check_state(path, before, where)
        raise
    _check_state(path, before, where)


def _check_state(path: Path, before: str, where: str) -> None:
    try:
        now = state_of(path)
    except OSError:
        now = ""
    if now != before:
        stop(SourceChanged, "changed while it was read", where=where, would_do="try again when it is complete")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # too long to be one
        return False


def _allowed(locations: Locations, text: str) -> Path:
    try:
        return locations.path(text)
    except PathRefused as error:
        what, _, would_do = str(error).removeprefix(f"{text}: ").rpartition("; ")
        stop(Refused, what, where=text, would_do=would_do)
