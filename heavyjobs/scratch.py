"""Scratch folders of jobs, named after the worker that made them: whoever ends a worker removes what it could not."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

_SOCKETS_MAX_BYTES: Final = 40
"""Of that folder's path: a socket's has room for about a hundred, and our name and multiprocessing's add sixty."""

_SHORT: Final = "/tmp"  # noqa: S108 - only as the parent of mkdtemp's own folders

if TYPE_CHECKING:  # the guardian needs none of it
    from heavyjobs.model import ClaimKey


_marker = ""
"""Of the worker that this process is; not read from its environment, which is its jobs' as well."""


def belong_to(marker: str) -> None:
    """Have all scratch of this process, from now on, named after the worker with this marker."""
    global _marker  # noqa: PLW0603 - a process is one
    _marker = marker


def make_scratch(claim: ClaimKey) -> Path:
    """A fresh folder for an invocation of this process."""
    prefix = f"{_prefix(_marker)}{claim.job.hex[-12:]}-{claim.number}-"
    return Path(tempfile.mkdtemp(prefix=prefix))


def make_helpers_folder(marker: str) -> str:
    """A fresh folder for what multiprocessing needs in the worker with this marker."""
    return tempfile.mkdtemp(prefix=_prefix(marker), dir=_places()[-1])


def remove_scratch(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def sweep_scratch(marker: str) -> None:
    """Remove all that the worker with this marker has left; only when it is gone. Harmless when repeated.

    Takes as long as the file system takes to remove so much. A marker may also be what those of several workers begin with,
    up to a dash.
    """
    for place in _places():
        with suppress(OSError), os.scandir(place) as entries:  # no folder for scratch any more, or none that can be read
            for path in [Path(entry.path) for entry in entries if entry.name.startswith(_prefix(marker))]:
                remove_scratch(path)


def _places() -> list[str]:
    """Where scratch lies: the folder for temporary files and, where its path is too long for sockets in it, a short one."""
    usual = tempfile.gettempdir()
    return [usual] if len(os.fsencode(usual)) <= _SOCKETS_MAX_BYTES else [usual, _SHORT]


def _prefix(marker: str) -> str:
    return f"heavyjobs-{marker}-"
