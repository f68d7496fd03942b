"""Watch what must not grow: memory and descriptors of the coordinator that lives through all of it."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from typing import Final

import psutil

from soaking.hosts import Host

SAMPLES: Final = 10
SAMPLE_SECONDS: Final = 0.2
GROWTH_MAX_BYTES: Final = 48 << 20
"""Buffers and pools that were never used before stay below it; a leak of some KiB per fault does not, in some hours."""

GROWTH_MAX_DESCRIPTORS: Final = 16
"""What pools of connections and spare workers may differ by."""


@dataclass(frozen=True, slots=True)
class Gauge:
    pid: int
    resident_bytes: int
    descriptors: int


async def gauge(host: Host) -> Gauge:
    """The median over two seconds."""
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
    )
