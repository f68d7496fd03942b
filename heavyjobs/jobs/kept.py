"""A folder of finished parts that outlives the death of a worker, so that the next attempt need not make them again.

Guarantees: it lies beside the target, on the same file system; what an earlier claim kept is taken over by a rename, so that a
late writer of that claim finds no folder; a job that ends for good, other than by the death of its worker, leaves none, and one
that is handed back leaves it.
Assumes: its owner says in a checkpoint what is finished, after that was synced; all else in the folder counts for nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from heavyjobs.context import Context
from heavyjobs.jobs.trouble import is_of_use
from heavyjobs.parts import earlier, part_name, take_over


@contextmanager
def kept(ctx: Context[Any, Any], target: Path) -> Generator[Path]:
    """A folder for finished parts of the output `target`, with what earlier claims of this job have kept.

    It stays while it is of use to another run, and when the worker dies; it is removed after all else.
    """
    folder = _take_over(target, ctx)
    with removed_unless(partial(is_of_use, ctx), partial(remove_tree, ctx, folder)):
        yield folder


@contextmanager
def removed_unless(of_use: Callable[[BaseException], bool], remove: Callable[[], None]) -> Generator[None]:
    """Remove what a block worked on when it is left, unless by an error after which that is of use to another run."""
    try:
        yield
    except BaseException as error:  # passed on: only what stays is decided, which a request to stop decides too
        if not of_use(error):
            remove()
        raise
    remove()


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
    taken = take_over(target, ctx.claim, sort="kept")
    for other in earlier(target, ctx.claim, sort="kept"):
        shutil.rmtree(other.path, ignore_errors=True)
    ours = taken.path if taken else target.with_name(part_name(target.name, ctx.claim, sort="kept"))
    ours.mkdir(exist_ok=True)
    return ours
