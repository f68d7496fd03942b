"""Where multiprocessing keeps the sockets of its helpers: a folder whose path is short enough for them."""

from __future__ import annotations

import os
import shutil
import tempfile
from multiprocessing import process, util
from pathlib import Path
from typing import Any, Final

_PATH_MAX_BYTES: Final = 70
"""Of the folder of temporary files. A socket's path has room for about a hundred, and multiprocessing adds thirty."""

_SHORT: Final = "/tmp"  # noqa: S108 - only as the parent of mkdtemp's own folder


def sockets_folder() -> str:
    """The folder, made at the first call and whenever it was removed; it goes when this process ends, unless it is killed."""
    config: dict[str, Any] = vars(process.current_process())["_config"]  # it has no other way in
    folder: str | None = config.get("tempdir")
    if folder is None or not _takes_sockets(folder):
        config["tempdir"] = folder = _made()
    return folder


def _made() -> str:
    too_long = len(os.fsencode(tempfile.gettempdir())) > _PATH_MAX_BYTES
    folder = tempfile.mkdtemp(prefix="pymp-", dir=_SHORT if too_long else None)
    # Not multiprocessing's own way to remove it, which complains about one that is gone already.
    util.Finalize(None, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=-100)
    return folder


def _takes_sockets(folder: str) -> bool:
    return Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)
