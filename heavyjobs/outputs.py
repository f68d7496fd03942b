"""Outputs that appear whole or not at all, and only while the claim is held.

Guarantees: what others see at the target is nothing, what was there before, or the finished output; a target that was not to be
replaced never is. A job that dies leaves one hidden file or folder beside the target, named after its claim (`parts`), and so
does one that runs again and can go on with it: its next invocation does that, or removes it. Where there is none, whoever makes
an output in that folder next removes it (`leftovers`).
"""

from __future__ import annotations

import asyncio
import os
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
from heavyjobs.parts import NAME_MAX_BYTES, earlier, part_name, take_over
from heavyjobs.shielding import Shield, surely

T = TypeVar("T")


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
        if resume and (taken := take_over(self._target, self._claim)) is not None:
            self.output.begun_by, self.output.path = taken.begun_by, taken.path
        for left in earlier(self._target, self._claim):
            remove(left.path)

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
            if not Path(parent, folder).is_symlink():  # what that leads to is not ours
                Path(parent, folder).chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


def _lack(folder: Path) -> str:
    return "is not a folder; use another target" if os.path.lexists(folder) else "does not exist; make it first"


def _taken(target: Path) -> str:
    return f"{target} exists and was not touched; use another target, or say that it is to be replaced"
