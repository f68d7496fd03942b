"""From what a caller wants to change about a job to what a store changes."""

from __future__ import annotations

from typing import TypedDict

from typing_extensions import Unpack

from heavyjobs.errors import UsageError
from heavyjobs.job import JobConfig
from heavyjobs.store.protocol import Changes
from heavyjobs.units import Duration, Size, seconds


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


def changes(*, delay: Duration | None = None, **config: Unpack[WantedConfig]) -> Changes:
    """The changes in plain numbers.

    Raises:
        UsageError: nothing to change, or a value that no job could have been submitted with.
    """
    if not config and delay is None:
        raise UsageError(f"update: nothing to change; give at least one of {', '.join(Wanted.__annotations__)}")
    policy = JobConfig(**config).policy(waits=False)
    return Changes(
        queue=policy.queue if "queue" in config else None,
        priority=policy.priority if "priority" in config else None,
        attempts=policy.attempts if "attempts" in config else None,
        timeout_seconds=policy.timeout_seconds,
        memory_bytes=policy.memory_bytes,
        cpus=policy.cpus if "cpus" in config else None,
        delay_seconds=None if delay is None else seconds(delay),
    )
