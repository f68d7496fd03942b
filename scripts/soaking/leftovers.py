"""What must not be left or have grown: processes, files, connections; a coordinator's memory and descriptors."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Final

import psutil

from soaking import witness
from soaking.cast import STEADY
from soaking.family import carrying
from soaking.figures import Figures
from soaking.gauges import GROWTH_MAX_BYTES, GROWTH_MAX_DESCRIPTORS, Gauge
from soaking.hosts import SOAK
from soaking.stage import Stage

CONNECTIONS_SECONDS: Final = 20.0

_TRIED: Final = re.compile(r"[a-z0-9_]{8}")
"""A file with which Python tries whether a folder can be written: left there when the process is killed at that moment."""


def compare(stage: Stage, before: Gauge, after: Gauge, figures: Figures) -> None:
    """The steady coordinator, before and after."""
    figures.resident_bytes = after.resident_bytes
    figures.growth_bytes = after.resident_bytes - before.resident_bytes
    figures.growth_descriptors = after.descriptors - before.descriptors
    more = {kind: count for kind in after.kinds if (count := after.kinds[kind] - before.kinds[kind])}
    stage.diary.note("gauges", before=before, after=after, more=more)
    if after.pid != before.pid:
        stage.diary.wrong("exits", f"the coordinator of {STEADY} is another process than before, and nobody has ended it")
    elif figures.growth_bytes > GROWTH_MAX_BYTES:
        stage.diary.wrong("memory", f"the coordinator of {STEADY} has grown by {figures.growth_bytes >> 20} MiB")
    elif figures.growth_descriptors > GROWTH_MAX_DESCRIPTORS:
        stage.diary.wrong("descriptors", f"the coordinator of {STEADY} has {figures.growth_descriptors} more: {more}")


def strike(stage: Stage, figures: Figures) -> None:
    """Nothing of the hosts may be left; if there is, it is ended here."""
    for host in stage.hosts.values():
        host.kill_all()
        figures.deaths += len(host.deaths)
        figures.outlived_seconds = max([figures.outlived_seconds, *(death.outlived or 0.0 for death in host.deaths)])
        for stray in host.strays:
            stage.diary.wrong("orphan", stray)
    for process in carrying(SOAK, stage.soak):
        with suppress(psutil.NoSuchProcess):  # it has gone by itself meanwhile
            stage.diary.wrong("orphan", f"after draining: {' '.join(process.cmdline())[:120]} ({process.pid})")
            process.kill()
    for path in stage.scratch.iterdir():
        if not (path.is_file() and _TRIED.fullmatch(path.name)):
            stage.diary.wrong("scratch", f"{path.name} was left behind")


async def connections_closed(stage: Stage) -> None:
    """Nobody may be connected to the database any more; it takes the server a moment to notice."""
    deadline = witness.now() + CONNECTIONS_SECONDS
    while left := await asyncio.to_thread(stage.database.connections):
        if witness.now() > deadline:
            stage.diary.wrong("connections", f"are open still: {', '.join(left)}")
            return
        await asyncio.sleep(0.2)
