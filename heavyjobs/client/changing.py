"""From what a caller wants to change about a job to what a store changes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final, TypedDict

from typing_extensions import Unpack

from heavyjobs.client.durations import read_seconds
from heavyjobs.errors import UsageError
from heavyjobs.job import JobConfig
from heavyjobs.store.records import Changes
from heavyjobs.units import Duration, Size


class WantedConfig(TypedDict, total=False):
    """What `update` can change, as in `JobConfig`; what is left out stays as it is."""

    queue: str
    priority: int
    attempts: int
    timeout: Duration
    memory: Size
    cpus: float


class Wanted(WantedConfig, total=False):
    """And when it is due: `delay` counts from now, 0 makes a waiting job due at once."""

    delay: Duration


WANTED: Final = (*WantedConfig.__annotations__, "delay")


def changes(*, delay: Duration | None = None, **config: Unpack[WantedConfig]) -> Changes:
    """The changes in plain numbers.

    Raises:
        UsageError: nothing to change, something that does not change, or a value that no job could have been submitted with.
    """
    if fault := _fault({**config, **({} if delay is None else {"delay": delay})}):
        raise UsageError(f"update: {fault}")
    policy = JobConfig(**config).policy(waits=False)
    return Changes(
        queue=policy.queue if "queue" in config else None,
        priority=policy.priority if "priority" in config else None,
        attempts=policy.attempts if "attempts" in config else None,
        timeout_seconds=policy.timeout_seconds,
        memory_bytes=policy.memory_bytes,
        cpus=policy.cpus if "cpus" in config else None,
        delay_seconds=read_seconds("delay", delay),
    )


def _fault(wanted: Mapping[str, object]) -> str | None:
    """What cannot be meant by these names, whatever the values."""
    if not wanted:
        return f"nothing to change; give at least one of {', '.join(WANTED)}"
    for name, value in wanted.items():
        if name not in WANTED:
            near = difflib.get_close_matches(name, WANTED, n=1)
            return f"{name} is nothing that changes; " + (f"did you mean {near[0]}?" if near else f"use {', '.join(WANTED)}")
        if value is None:
            return f"{name}=None changes nothing; leave it out to keep what it is"
    return None
