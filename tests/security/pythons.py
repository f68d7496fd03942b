"""A Python that every user of this machine can run: the tests' own may lie in a folder that only root may enter."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_LEFT_OUT: Final = shutil.ignore_patterns(
    "test", "site-packages", "config-*", "idlelib", "ensurepip", "__pycache__", ".git", ".venv*"
)


@dataclass(frozen=True, slots=True)
class Python:
    """What to run, and the variables that it needs to find what the tests' own finds."""

    program: str
    environment: Mapping[str, str]


def for_everybody(folder: Path) -> Python:
    """The tests' own where all may read it, else one that is linked together in `folder`, which all must be able to enter."""
    base, packages = Path(sys.base_prefix), Path(sysconfig.get_path("purelib"))
    if all(map(_is_open, (base, packages, ROOT))):
        return Python(sys.executable, {})
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "bin").mkdir()
    _link(Path(os.path.realpath(sys.executable)), folder / "bin" / name)
    for library in (base / "lib").glob("libpython*.so*"):
        _link(library, folder / "lib" / library.name)
    shutil.copytree(sysconfig.get_path("stdlib"), folder / "lib" / name, copy_function=_link, ignore=_LEFT_OUT)
    where = [str(_open(place, folder / place.name)) for place in (ROOT, packages)]
    return Python(str(folder / "bin" / name), {"PYTHONPATH": ":".join(where), "LD_LIBRARY_PATH": str(folder / "lib")})


def _is_open(path: Path) -> bool:
    """Whether all may read what lies there."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def _open(path: Path, copy: Path) -> Path:
    return path if _is_open(path) else Path(shutil.copytree(path, copy, copy_function=_link, ignore=_LEFT_OUT))


def _link(source: str | Path, target: str | Path) -> None:
    """The same file under another name; a copy on another file system."""
    Path(target).parent.mkdir(exist_ok=True)
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)
