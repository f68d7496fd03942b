"""A folder of finished parts that outlives the death of a worker, so that the next attempt need not make them again.

Guarantees: it lies beside the target, on the same file system; what an earlier claim kept is taken over by a rename, so that a
late writer of that claim finds no folder; a job that ends for good, other than by the death of its worker, leaves none, and one
that is handed back leaves it.
Assumes: its owner says in a checkpoint what is finished, after that was synced; all else in the folder counts for nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from heavyjobs.context import Context
from heavyjobs.jobs.trouble import is_of_use
from heavyjobs.outputs import part_name

MARK: Final = ".kept."


@contextmanager
def kept(ctx: Context[Any, Any], target: Path) -> Generator[Path]:
    """A folder for finished parts of the output `target`, with what earlier claims of this job have kept.

    It stays while it is of use to another run, and when the worker dies; it is removed after all else.
    """
    folder = _take_over(target, ctx)
    try:
        yield folder
    except BaseException as error:  # passed on: only what stays is decided, which a request to stop decides too
        if not is_of_use(ctx, error):
            remove_tree(ctx, folder)
        raise
    remove_tree(ctx, folder)


def remove_tree(ctx: Context[Any, Any], folder: Path) -> None:
    """Remove a folder, if it is there; a request to stop waits for that."""
    with ctx.shielded():
        shutil.rmtree(folder, ignore_errors=True)


def put(source: Path, target: Path) -> None:
    """Let a file have another name as well, or a copy where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _take_over(target: Path, ctx: Context[Any, Any]) -> Path:
    """Make the folder of this claim out of the newest that is there; remove the others."""
    ours = target.with_name(part_name(target.name, ctx.claim).replace(".part.", MARK))
    stem = ours.name.rpartition("-")[0] + "-"
    with os.scandir(target.parent) as entries:
        numbers = [entry.name.removeprefix(stem) for entry in entries if entry.name.startswith(stem)]
    earlier = sorted(int(number) for number in numbers if number.isdecimal() and int(number) < ctx.claim.number)
    for number in reversed(earlier):
        theirs = target.with_name(f"{stem}{number}")
        if not ours.exists():
            with suppress(OSError):
                theirs.rename(ours)
        shutil.rmtree(theirs, ignore_errors=True)
    ours.mkdir(exist_ok=True)
    return ours
