"""Outputs that appear whole or not at all, and only while the claim is held.

Guarantees: what others see at the target is nothing, what was there before, or the finished output; a target that was not to be
replaced never is. A job that dies leaves one hidden file or folder beside the target, named after its claim (`part_name`), and
so does one that runs again and can go on with it: its next invocation does that, or removes it. Where there is none, it stays:
nothing sweeps yet.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Protocol, TypeVar

from typing_extensions import override

from heavyjobs import durable
from heavyjobs.errors import TargetExists, WorkError
from heavyjobs.model import ClaimKey
from heavyjobs.shielding import Shield, surely

T = TypeVar("T")

NAME_MAX_BYTES: Final = 255
"""Of one file name, on every file system we know."""

_NUMBERS_MAX_BYTES: Final = 24
"""Kept free for them in the part's name, so that it begins alike for every claim of a job."""

_NUMBERS: Final = re.compile(r"(\d+)(?:\.(\d+))?")


@dataclass(slots=True)
class Output:
    """Where to write; taken for its path by `open`, `Path`, `str` and the arguments of programs.

    Attributes:
        path: nothing is there yet; make a file or a folder of it.
        bytes: of the published output (for a folder, of all files in it); 0 until the block was left cleanly.
        begun_by: the number of the claim that began what is there: this invocation's own, unless it goes on with what an
            earlier one has left.
    """

    path: Path
    bytes: int = 0
    begun_by: int = 0

    def __fspath__(self) -> str:
        return str(self.path)

    @override
    def __str__(self) -> str:
        return str(self.path)


def part_name(name: str, claim: ClaimKey, *, begun_by: int | None = None) -> str:
    """The hidden name under which the output `name` is written; long names are cut so that it fits.

    It ends in the number of the claim, and after a dot the one that began it, if that was another.
    """
    begun = "" if begun_by in {None, claim.number} else f".{begun_by}"
    return f"{_part_stem(name, claim)}{claim.number}{begun}"


def _part_stem(name: str, claim: ClaimKey) -> str:
    mark = f".part.{claim.job.hex[-12:]}-"
    room = NAME_MAX_BYTES - len(mark) - 1 - _NUMBERS_MAX_BYTES
    return f".{os.fsencode(name)[:room].decode(errors='ignore')}{mark}"


class Staged:
    """An output on its way: written beside its target, then published by rename.

    Raises:
        TargetExists: at once, when it may not be replaced.
        WorkError: the folder for it is missing, or its name is too long.
    """

    resumable: ClassVar[bool] = True

    def __init__(self, target: Path, *, claim: ClaimKey, replace: bool) -> None:
        self._target: Final = target
        self._replace: Final = replace
        self._claim: Final = claim
        self.output: Final = Output(target.with_name(part_name(target.name, claim)), begun_by=claim.number)
        self._check()

    def begin(self, *, resume: bool) -> None:
        """Remove what earlier invocations of this job left here when they died, or go on with the newest of it.

        Their claims are void, and one that still writes by name finds nothing there.
        """
        if resume:
            self._take_over()
        for _, _, part in self._earlier():
            remove(part)

    def _take_over(self) -> None:
        for _, begun_by, part in sorted(self._earlier())[-1:]:
            self.output.begun_by = begun_by
            self.output.path = self._target.with_name(part_name(self._target.name, self._claim, begun_by=begun_by))
            part.rename(self.output.path)

    def sync(self) -> None:
        """Bring what was written to the disk, and count it.

        Raises:
            WorkError: nothing was written.
        """
        path = self.output.path
        if path.is_symlink() or not path.exists():
            raise WorkError(f"{self._target}: nothing was written; write a file or make a folder at the output's path")
        durable.sync_tree(path)
        self.output.bytes = durable.size_tree(path)

    def publish(self) -> None:
        """Give it its name, for good.

        Raises:
            TargetExists: it came meanwhile and may not be replaced; it was not touched.
        """
        try:
            if self._replace:
                durable.rename_over(self.output.path, self._target)
            else:
                durable.rename_new(self.output.path, self._target)
        except FileExistsError:
            raise TargetExists(_taken(self._target)) from None
        durable.sync_folder(self._target.parent)

    def discard(self) -> None:
        """Leave nothing behind but what was published; harmless when repeated."""
        remove(self.output.path)

    def _earlier(self) -> Generator[tuple[int, int, Path]]:
        """What lies here of earlier claims: the number of each, of the one that began it, and where."""
        if self._claim.number == 1:
            return
        stem = _part_stem(self._target.name, self._claim)
        for part in _with_prefix(self._target.parent, stem):
            numbers = _NUMBERS.fullmatch(part.name.removeprefix(stem))
            if numbers and int(numbers[1]) < self._claim.number:
                yield int(numbers[1]), int(numbers[2] or numbers[1]), part

    def _check(self) -> None:
        folder = self._target.parent
        if not folder.is_dir():
            raise WorkError(f"{self._target}: the folder {folder} {_lack(folder)}")
        if len(os.fsencode(self._target.name)) > NAME_MAX_BYTES:
            raise WorkError(f"{self._target.name[:40]}…: the name is longer than {NAME_MAX_BYTES} bytes; use a shorter one")
        if not self._replace and os.path.lexists(self._target):
            raise TargetExists(_taken(self._target))


class Publishable(Protocol):
    """What `Staged` is, wherever it leads."""

    resumable: ClassVar[bool]
    """Whether another invocation can find what this one leaves."""

    @property
    def output(self) -> Output: ...

    def begin(self, *, resume: bool) -> None: ...

    def sync(self) -> None: ...

    def publish(self) -> None: ...

    def discard(self) -> None: ...


def output(
    target: Path,
    *,
    claim: ClaimKey,
    replace: bool,
    confirm: Callable[[], None],
    shield: Shield,
    resume: bool = False,
    stays: Callable[[BaseException], bool] = lambda _: False,
) -> AbstractContextManager[Output]:
    """What `Context.output` promises of a path on this host; `confirm` raises when the claim is lost.

    Args:
        stays: whether what is unfinished stays after that error, for an invocation that resumes it.
    """

    def stage() -> Staged:
        return Staged(target, claim=claim, replace=replace)

    return published(stage, confirm=confirm, shield=shield, resume=resume, stays=stays)


@contextmanager
def published(
    stage: Callable[[], Publishable],
    *,
    confirm: Callable[[], None],
    shield: Shield,
    resume: bool,
    stays: Callable[[BaseException], bool],
) -> Generator[Output]:
    """The same of whatever `stage` makes when the block begins."""
    staged, errors = stage(), list[BaseException]()

    def leave() -> None:
        # Judged each time: what comes during the first may be a request to stop that makes all of it useless.
        if not (resume and staged.resumable and any(map(stays, errors))):
            staged.discard()

    with surely(leave, shield=shield):
        try:
            with shield():
                staged.begin(resume=resume)
            yield staged.output
            staged.sync()
            with shield():
                confirm()
                staged.publish()
        except BaseException as error:  # passed on: only what stays is decided, which a request to stop decides too
            errors.append(error)
            raise


async def in_thread(fn: Callable[[], T]) -> T:
    """Run blocking work beside the event loop; a cancel leaves it running to its end."""
    return await asyncio.to_thread(fn)


def _with_prefix(folder: Path, prefix: str) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.name.startswith(prefix)]


def remove(path: Path) -> None:
    """Remove whatever lies there, if anything does."""
    if path.is_dir() and not path.is_symlink():
        _remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_tree(path: Path) -> None:
    """Remove a folder, read-only folders in it included."""
    shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
        return
    path.chmod(0o700)
    for parent, folders, _ in os.walk(path):
        for folder in folders:
            Path(parent, folder).chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


def _lack(folder: Path) -> str:
    return "is not a folder; use another target" if os.path.lexists(folder) else "does not exist; make it first"


def _taken(target: Path) -> str:
    return f"{target} exists and was not touched; use another target, or say that it is to be replaced"
