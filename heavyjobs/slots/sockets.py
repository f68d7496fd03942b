"""Where multiprocessing keeps the sockets of its helpers: a folder whose path is short enough for them."""

from __future__ import annotations

import os
import shutil
from multiprocessing import process, util
from pathlib import Path
from typing import Any

from heavyjobs.scratch import make_sockets_folder


def sockets_folder() -> str:
    """The folder, made at the first call and whenever it was removed; it goes when this process ends.

    When it is killed, with its scratch.
    """
    config: dict[str, Any] = vars(process.current_process())["_config"]  # it has no other way in
    folder: str | None = config.get("tempdir")
    if folder is None or not _takes_sockets(folder):
        config["tempdir"] = folder = _made()
    return folder


def _made() -> str:
    folder = make_sockets_folder()
    # Not multiprocessing's own way to remove it, which complains about one that is gone already.
    util.Finalize(None, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=-100)
    return folder


def _takes_sockets(folder: str) -> bool:
    return Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)
