"""A disk of a few megabytes that can be filled to its last byte and freed again: a real one, with a real `ENOSPC`.

Mounting needs rights. Who has them not runs the test again in a user and mount namespace of its own, where everyone has; where
such namespaces are closed too, as containers often are, the test is left out with a word.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, ParamSpec

import pytest

P = ParamSpec("P")

ROOT: Final = Path(__file__).parents[2]
_RERUN: Final = "HEAVYJOBS_TESTS_MAY_MOUNT"
_RERUN_SECONDS: Final = 110
_NAMESPACE: Final = ("unshare", "--user", "--map-current-user", "--mount", "--keep-caps")


class SmallDisk:
    """A file system of so many bytes."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._ballast: Final = path / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                _write_until_full(ballast.fileno(), bytes(size))

    def free(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, *, size: str) -> Generator[SmallDisk]:
    """Mount one for the length of the block."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", folder], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: what still has a file open there is about to end.
        subprocess.run(["umount", "-l", folder], check=True)


def with_mounts(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    """Run a test where it may mount: here, or in a namespace of its own, whose failure is the test's."""

    @functools.wraps(test)
    async def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if _RERUN in os.environ or _may_mount():
            await test(*args, **kwargs)
        elif not _may_mount(*_NAMESPACE):
            pytest.skip("nothing can be mounted here, in no namespace either; run these tests as root, outside of a container")
        else:
            _run_again(os.environ["PYTEST_CURRENT_TEST"].removesuffix(" (call)"))

    return run


@functools.cache
def _may_mount(*within: str) -> bool:
    """Whether a tmpfs can be mounted, by a program of these words; it is gone again at once."""
    if shutil.which(within[0] if within else "mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        script = 'mount -t tmpfs tmpfs "$0" && umount "$0"'
        return subprocess.run([*within, "sh", "-c", script, folder], capture_output=True, check=False).returncode == 0


def _run_again(test: str) -> None:
    done = subprocess.run(
        [*_NAMESPACE, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")} | {_RERUN: "1"},
        capture_output=True,
        text=True,
        timeout=_RERUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"in a namespace of its own, since it may not mount here:\n{done.stdout}\n{done.stderr}"


def _write_until_full(descriptor: int, block: bytes) -> None:
    try:
        while True:
            os.write(descriptor, block)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
