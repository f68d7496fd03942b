"""Where multiprocessing keeps the sockets of its helpers: a folder whose path is short enough for them."""

from __future__ import annotations

import os
import shutil
import tempfile
from multiprocessing import process, util
from typing import Any, Final

_PATH_MAX_BYTES: Final = 70
"""Of the folder of temporary files. A socket's path has room for about a hundred, and multiprocessing adds thirty."""

_SHORT: Final = "/tmp"  # noqa: S108 - only as the parent of mkdtemp's own folder


def sockets_folder() -> str:
    """The folder, made at the first call; removed when this process ends, unless it is killed."""
    config: dict[str, Any] = vars(process.current_process())["_config"]  # it has no other way in
    if config.get("tempdir") is None and len(os.fsencode(tempfile.gettempdir())) > _PATH_MAX_BYTES:
        config["tempdir"] = folder = tempfile.mkdtemp(prefix="pymp-", dir=_SHORT)
        util.Finalize(None, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=-100)
    return util.get_temp_dir()
