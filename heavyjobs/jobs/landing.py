"""Where things from elsewhere land on this host: beside their target, kept for the job's next attempt, then published whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from heavyjobs import durable
from heavyjobs.jobs.trouble import TargetTaken, stop
from heavyjobs.model import ClaimKey
from heavyjobs.parts import earlier, part_name, take_over
from heavyjobs.storage.local import LocalStorage

DATA: Final = "data"


class Landing:
    """A hidden folder beside the target. What a job leaves there when it is killed, or stopped in between, its next attempt
    goes on with.

    Attributes:
        begun_by: the number of the claim that began what is here; a checkpoint that has another is of another folder.
        fresh: nothing was left here that `expected` has begun: it is the first attempt, or the last one was on another host.
    """

    def __init__(self, target: Path, *, claim: ClaimKey, expected: int) -> None:
        self._target: Final = target
        taken = take_over(target, claim, sort="land")
        for left in earlier(target, claim, sort="land"):
            shutil.rmtree(left.path, ignore_errors=True)
        self.fresh: Final = taken is None or taken.begun_by != expected
        if taken is not None and self.fresh:
            shutil.rmtree(taken.path, ignore_errors=True)
        begun_by = claim.number if taken is None or self.fresh else taken.begun_by
        self.begun_by: Final = begun_by
        self.folder: Final = target.with_name(part_name(target.name, claim, begun_by=begun_by, sort="land"))
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.place: Final = LocalStorage(self.folder)

    def whole(self) -> Path:
        """All that landed, safely on the disk."""
        data = self.folder / DATA
        if not data.exists():
            data.mkdir()  # a folder without anything in it
        durable.sync_tree(data)
        return data

    def publish(self, *, replace: bool, publishing: Callable[[], AbstractContextManager[None]], text: str) -> None:
        """Give what landed, which is whole, its name, for good.

        Raises:
            Stopped: TargetTaken, and what is there was not touched.
        """
        data = self.folder / DATA
        try:
            with publishing():
                (durable.rename_over if replace else durable.rename_new)(data, self._target)
        except FileExistsError:
            stop(TargetTaken, "exists", where=text, would_do="use another target, or set overwrite")
        durable.sync_folder(self._target.parent)
        self.discard()

    def discard(self) -> None:
        """Leave nothing but what was published."""
        shutil.rmtree(self.folder, ignore_errors=True)


def newer(source_mtime: float | None, target: Path) -> bool:
    """Whether a source is newer than a file that is there, to the second."""
    return source_mtime is None or not os.path.lexists(target) or int(source_mtime) > int(target.lstat().st_mtime)
