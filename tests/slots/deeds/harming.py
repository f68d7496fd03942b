"""Jobs that harm what serves them: their coordinator, and what forks the workers."""

# ruff: noqa: T201 - jobs print

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.slots.deeds.digging import wire
from tests.slots.deeds.kinds import Ctx, deed


@deed
def name_descriptors(_ctx: Ctx) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found[path.name] = str(path.readlink())
    return found


@deed
def close_everything(_ctx: Ctx) -> None:
    print("closing")
    os.closerange(0, 4096)


@deed
def remove_sockets(_ctx: Ctx, folder: str, what: str) -> None:
    """Of the processes that fork workers; `folder` is where they are."""
    if what == "folder":
        shutil.rmtree(folder)
    for path in Path(folder).glob("listener-*"):
        path.unlink()


class Harm:
    """Unpickled anywhere, it leaves a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    @override
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (self.path,)


@deed
def pickle_everywhere(_ctx: Ctx, path: str) -> None:
    harm = pickle.dumps(Harm(path))
    for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):
            os.write(descriptor, harm)
            os.write(descriptor, len(harm).to_bytes(4, "big") + harm)


@deed
def write_to_pipe(_ctx: Ctx, data: list[int]) -> None:
    os.write(wire().descriptors[0], bytes(data))
    time.sleep(600)
