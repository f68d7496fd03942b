"""Where the pieces of an output lie until they are joined: a hidden folder beside the target, which all hosts reach.

Guarantees: a folder has a name of its own, which no other job and no earlier start of the work shares, so a late piece of
given-up work falls beside. It outlives the invocation only where the job is tried again and can use what is in it. A job that
is sent again by `retry` does not go on with what was begun before it had ended: that may be swept at any moment.
Assumes: whoever may write to the target's folder leaves it alone.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import UUID

from heavyjobs.context import AsyncContext
from heavyjobs.jobs.trouble import is_of_use
from heavyjobs.parts import GONE, workshop_prefix


def new_mark(epoch: int) -> str:
    """Names a fresh start of the work, in folders and in the keys of children."""
    return f"{epoch}-{secrets.token_hex(4)}"


def is_of(mark: str, epoch: int) -> bool:
    """Whether work was begun in that epoch."""
    return mark.startswith(f"{epoch}-")


def folder_beside(target: str, job: UUID, mark: str) -> str:
    """The place of a workshop: `media:films/a.mp4` has it at `media:films/.heavyjobs-…`."""
    start = target[: target.rfind("/") + 1] or target[: target.find(":") + 1]
    return f"{start}{workshop_prefix(job)}{mark}"


def sweep_others(folder: Path, job: UUID, *, but: str | None) -> None:
    """Remove what earlier starts of this job's work have left in that folder."""
    prefix = workshop_prefix(job)
    with os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if entry.name.startswith(prefix)]
    for path in left:
        if path.name != f"{prefix}{but}":
            rmtree(path, ignore_errors=True)


@asynccontextmanager
async def kept_while_useful(ctx: AsyncContext[Any, Any], folder: Path) -> AsyncGenerator[None]:
    """Make the folder, and remove it with the block unless another try of this job will go on with it."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    try:
        yield
    except BaseException as error:  # passed on: only what stays is decided, which a request to stop decides too
        if not is_of_use(ctx, error):
            await asyncio.to_thread(remove_folder, folder)
        raise
    await asyncio.to_thread(remove_folder, folder)


def remove_folder(folder: Path) -> None:
    """Remove a workshop at once for those who would still put something in, then what it holds."""
    aside = folder.with_name(f"{folder.name}{GONE}")
    try:
        folder.rename(aside)
    except OSError:  # gone
        return
    rmtree(aside, ignore_errors=True)
