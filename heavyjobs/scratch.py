"""Scratch folders of jobs, named after the worker that made them: whoever ends a worker removes what it could not."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heavyjobs.processes import WORKER_MARK

_SOCKETS_MAX_BYTES: Final = 40
"""Of that folder's path: a socket's has room for about a hundred, and our name and multiprocessing's add sixty."""

_SHORT: Final = "/tmp"  # noqa: S108 - only as the parent of mkdtemp's own folders

if TYPE_CHECKING:  # the guardian needs none of it
    from heavyjobs.model import ClaimKey


def make_scratch(claim: ClaimKey) -> Path:
    """A fresh folder for an invocation of this process."""
    prefix = f"{_prefix(os.environ.get(WORKER_MARK, ''))}{claim.job.hex[-12:]}-{claim.number}-"
    return Path(tempfile.mkdtemp(prefix=prefix))


def make_helpers_folder(marker: str) -> str:
    """A fresh folder for what multiprocessing needs in the worker with this marker."""
    return tempfile.mkdtemp(prefix=_prefix(marker), dir=_places()[-1])


def remove_scratch(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def sweep_scratch(marker: str) -> None:
    """Remove all that the worker with this marker has left; only when it is gone. Harmless when repeated."""
    for place in _places():
        with os.scandir(place) as entries:
            left = [Path(entry.path) for entry in entries if entry.name.startswith(_prefix(marker))]
        for path in left:
            remove_scratch(path)


def _places() -> list[str]:
    """Where scratch lies: the folder for temporary files and, where its path is too long for sockets in it, a short one."""
    usual = tempfile.gettempdir()
    return [usual] if len(os.fsencode(usual)) <= _SOCKETS_MAX_BYTES else [usual, _SHORT]


def _prefix(marker: str) -> str:
    return f"heavyjobs-{marker}-"
