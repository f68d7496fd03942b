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
from heavyjobs.outputs import part_name
from heavyjobs.storage.local import LocalStorage

DATA: Final = "data"


class Landing:
    """A hidden folder beside the target, the same for every attempt of a job.

    What a job leaves there when it is killed, or stopped in between, its next attempt goes on with.

    Attributes:
        fresh: nothing was left here: it is the first attempt, or the last one was on another host.
    """

    def __init__(self, target: Path, *, claim: ClaimKey) -> None:
        self._target: Final = target
        self.folder: Final = target.with_name(part_name(target.name, ClaimKey(claim.job, 0)).removesuffix("-0") + "-kept")
        self.fresh: Final = not self.folder.is_dir()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.place: Final = LocalStorage(self.folder)

    def publish(self, *, replace: bool, publishing: Callable[[], AbstractContextManager[None]], text: str) -> None:
        """Give what landed its name, for good.

        Raises:
            Stopped: TargetTaken, and what is there was not touched.
        """
        data = self.folder / DATA
        if not data.exists():
            data.mkdir()  # a folder without anything in it
        durable.sync_tree(data)
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
