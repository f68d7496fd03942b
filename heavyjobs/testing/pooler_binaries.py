"""Find pgbouncer on this machine, or fetch Debian's package of it into a cache: no root, nothing installed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heavyjobs-tests" / "pgbouncer"
FETCH_SECONDS: Final = 120.0

_LIBRARIES: Final = re.compile(r"Depends: (lib(?:event|c-ares|cares)\S*)")
"""The packages among pgbouncer's dependencies that a machine may well not have."""


class PoolerMissing(RuntimeError):
    """There is no pgbouncer here, and none could be fetched; says what would do."""


@dataclass(frozen=True, slots=True)
class Program:
    """pgbouncer, and the folder with libraries that it needs beside the machine's, if there is one."""

    path: Path
    libraries: Path | None = None

    def argv(self, *arguments: str | Path) -> list[str | Path]:
        """How to start it."""
        libraries: list[str | Path] = [f"LD_LIBRARY_PATH={self.libraries}"] if self.libraries else []
        return ["/usr/bin/env", *libraries, self.path, *arguments]

    def copied_to(self, folder: Path) -> Program:
        """A copy that another user may run."""
        copy = shutil.copy(self.path, folder / "pgbouncer")
        if self.libraries is None:
            return Program(Path(copy))
        return Program(Path(copy), shutil.copytree(self.libraries, folder / "lib", symlinks=True))


def find_pgbouncer() -> Program:
    """The machine's, else the cache's; fetched into that if need be, from Debian's archive, which then works offline.

    Raises:
        PoolerMissing: says what would do.
    """
    if found := shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
        return Program(Path(found))
    with _alone():
        if not (program := _cached()).path.exists():
            _fetch()
        if (trouble := _trouble(program := _cached())) is not None:
            raise PoolerMissing(f"pgbouncer in {CACHE} does not run: {trouble}; apt install pgbouncer")
    return program


def _cached() -> Program:
    unpacked = CACHE / "unpacked"
    events = sorted(unpacked.glob("usr/lib/*/libevent-*.so*"))
    return Program(unpacked / "usr/sbin/pgbouncer", events[0].parent if events else None)


@contextmanager
def _alone() -> Generator[None]:
    """Several workers of pytest may come here at the same time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch() -> None:
    """Download the packages of Debian's archive and unpack them; whoever is killed here leaves no half of a cache."""
    desk = CACHE / "fetching"
    shutil.rmtree(desk, ignore_errors=True)
    for folder in ("lists/partial", "apt/archives/partial", "unpacked"):
        (desk / folder).mkdir(parents=True)
    try:
        _download(desk)
        for package in desk.glob("*.deb"):
            _run("dpkg", "-x", package, desk / "unpacked", at=desk)
        (desk / "unpacked").rename(CACHE / "unpacked")
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        raise PoolerMissing(
            f"no pgbouncer in PATH or /usr/sbin, and Debian's package could not be fetched ({' '.join(said)});"
            " install it: apt install pgbouncer"
        ) from error
    finally:
        shutil.rmtree(desk, ignore_errors=True)


def _download(desk: Path) -> None:
    """As the machine's own lists name the packages; where these are old or empty, as lists of our own: no root is needed."""
    try:
        _packages(desk)
    except subprocess.CalledProcessError:
        own = ("-o", f"Dir::State::lists={desk / 'lists'}", "-o", f"Dir::Cache={desk / 'apt'}")
        _run("apt-get", *own, "-q", "update", at=desk)
        _packages(desk, *own)


def _packages(desk: Path, *options: str) -> None:
    libraries = _LIBRARIES.findall(_run("apt-cache", *options, "depends", "pgbouncer", at=desk))
    _run("apt-get", *options, "-q", "download", "pgbouncer", *libraries, at=desk)


def _run(*argv: str | Path, at: Path) -> str:
    return subprocess.run(  # noqa: S603 - our own words
        argv, cwd=at, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=True, timeout=FETCH_SECONDS
    ).stdout


def _trouble(program: Program) -> str | None:
    done = subprocess.run(program.argv("--version"), capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    return None if done.returncode == 0 else done.stderr.strip()
