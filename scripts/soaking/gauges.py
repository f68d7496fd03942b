"""Watch what must not grow: memory and descriptors of the coordinator that lives through all of it."""

from __future__ import annotations

import asyncio
import re
import statistics
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from soaking.hosts import Host

SAMPLES: Final = 10
SAMPLE_SECONDS: Final = 0.2
GROWTH_MAX_BYTES: Final = 48 << 20
"""Buffers and pools that were never used before stay below it; a leak of some KiB per fault does not, in some hours."""

GROWTH_MAX_DESCRIPTORS: Final = 40
"""What pools of connections, and workers that stood in for waiting parents, may differ by."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """`kinds` counts what the descriptors are: pipe, socket, the path of a file."""

    pid: int
    resident_bytes: int
    descriptors: int
    kinds: Counter[str]


def measured(host: Host) -> dict[str, int]:
    """At this moment; nothing while its coordinator is not there."""
    with suppress(psutil.Error):
        process = psutil.Process(host.process.pid if host.process else 0)
        return {"pid": process.pid, "resident_bytes": process.memory_info().rss, "descriptors": process.num_fds()}
    return {}


async def gauge(host: Host) -> Gauge:
    """The medians over two seconds."""
    assert host.process is not None  # noqa: S101 - for the type checker
    process = psutil.Process(host.process.pid)
    samples: list[tuple[int, int]] = []
    for _ in range(SAMPLES):
        samples.append((process.memory_info().rss, process.num_fds()))
        await asyncio.sleep(SAMPLE_SECONDS)
    return Gauge(
        host.process.pid,
        int(statistics.median(rss for rss, _ in samples)),
        int(statistics.median(descriptors for _, descriptors in samples)),
        kinds(host.process.pid),
    )


def kinds(pid: int) -> Counter[str]:
    found = Counter[str]()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found[re.sub(r":\[\d+\]", "", str(descriptor.readlink()))] += 1
    return found
