"""Scratch folders, named after the coordinator and the worker that made them: whoever ends these removes what is left."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heavyjobs.processes import is_gone, name_of, started_at

_SOCKETS_MAX_BYTES: Final = 24
"""Of that folder's path: a socket's has room for 107, and our name and multiprocessing's add 82 at most."""

_MADE: Final = re.compile(r"heavyjobs-(\d+-\d+-\d+)-")
"""The name of what belongs to a coordinator; its `processes.name_of` is in it."""

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


def make_sockets_folder() -> str:
    """A fresh folder for what multiprocessing needs in this process, a coordinator."""
    return tempfile.mkdtemp(prefix=_prefix(name_of(os.getpid(), started_at(os.getpid()))), dir=_places()[-1])


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


def sweep_after_the_dead() -> None:
    """Remove all scratch of coordinators of this machine that are gone, and of their workers, as far as this user may."""
    for place in _places():
        with suppress(OSError), os.scandir(place) as entries:
            for path, made in [(Path(entry.path), _MADE.match(entry.name)) for entry in entries]:
                if made is not None and is_gone(made[1]):
                    remove_scratch(path)


def _places() -> list[str]:
    """Where scratch lies: the folder for temporary files and, where its path is too long for sockets in it, a short one."""
    usual = tempfile.gettempdir()
    return [usual] if len(os.fsencode(usual)) <= _SOCKETS_MAX_BYTES else [usual, _SHORT]


def _prefix(marker: str) -> str:
    return f"heavyjobs-{marker}-"
