"""How long a job's names may be and how large its numbers: refused at one edge, so that all stores refuse alike.

Every store asks here before it writes, or one database would take what another cannot hold, and a batch would fail for the one
job in it that its index has no room for. The bounds are PostgreSQL's: 32 and 64 bits, and 2,704 bytes for an entry of an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from heavyjobs.errors import Unstorable
from heavyjobs.store.records import Changes, Filter, NewJob
from heavyjobs.units import show_bytes
from heavyjobs.values import visible

NAME_MAX_BYTES: Final = 500
"""Of a kind or a queue."""

KEY_MAX_BYTES: Final = 1000
"""Of a unique key or a child's key."""

SECONDS_MAX: Final = 1e10
"""Of any duration: some 300 years, so that no date is one that a database does not know."""

_SMALL: Final = range(-(2**31), 2**31)
_LARGE: Final = range(2**63)


def check_jobs(jobs: Sequence[NewJob]) -> None:
    """Make sure that every store can hold these jobs.

    Raises:
        Unstorable: says which job, and which value of it.
    """
    for job in jobs:
        if fault := _job_fault(job):
            raise Unstorable(f"a job of kind {visible(job.kind[:100])}: {fault}")


def check_changes(changes: Changes) -> None:
    """The same for what a job is to be changed to."""
    if fault := _changes_fault(changes):
        raise Unstorable(f"a job is to be changed: {fault}")


def check_filter(which: Filter) -> None:
    """The same for the names that jobs are listed by: one that no job can have is a slip, and no database is asked for it."""
    for name in (*which.kinds, *which.queues):
        if fault := _text_fault("text", name, NAME_MAX_BYTES):
            raise Unstorable(f"jobs are to be listed by {visible(name[:100])}: {fault}")


def _job_fault(job: NewJob) -> str | None:
    policy = job.policy
    return (
        _text_fault("kind", job.kind, NAME_MAX_BYTES)
        or _text_fault("queue", policy.queue, NAME_MAX_BYTES)
        or _text_fault("unique key", job.unique_key, KEY_MAX_BYTES)
        or _text_fault("key as a child", job.child_key, KEY_MAX_BYTES)
        or _whole_fault("version", job.version, _SMALL)
        or _whole_fault("depth", job.depth, _SMALL)
        or _whole_fault("priority", policy.priority, _SMALL)
        or _whole_fault("attempts", policy.attempts, _SMALL)
        or _whole_fault("memory", policy.memory_bytes, _LARGE)
        or _real_fault("cpus", policy.cpus)
        or _real_fault("timeout", policy.timeout_seconds)
        or _real_fault("grace", policy.grace_seconds)
        or _real_fault("backoff", policy.backoff_seconds)
        or _real_fault("longest backoff", policy.backoff_max_seconds)
        or _real_fault("delay", job.delay_seconds)
    )


def _changes_fault(changes: Changes) -> str | None:
    return (
        _text_fault("queue", changes.queue, NAME_MAX_BYTES)
        or _whole_fault("priority", changes.priority, _SMALL)
        or _whole_fault("attempts", changes.attempts, _SMALL)
        or _whole_fault("memory", changes.memory_bytes, _LARGE)
        or _real_fault("cpus", changes.cpus)
        or _real_fault("timeout", changes.timeout_seconds)
        or _real_fault("delay", changes.delay_seconds)
    )


def _text_fault(name: str, text: str | None, max_bytes: int) -> str | None:
    if text is None:
        return None
    if "\0" in text:
        return f"its {name} holds a NUL character; leave it out"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return f"its {name} holds a lone surrogate, which is not Unicode; leave it out, or encode it"
    if size > max_bytes:
        return (
            f"its {name} takes {show_bytes(size)}, more than {show_bytes(max_bytes)}; use a shorter one, such as a hash of it"
        )
    return None


def _whole_fault(name: str, number: int | None, span: range) -> str | None:
    if number is None or number in span:
        return None
    return f"its {name} is {str(number)[:40]}; use a number from {span[0]} to {span[-1]}"


def _real_fault(name: str, number: float | None) -> str | None:
    # Not a number, which compares with nothing, is refused too.
    if number is None or -SECONDS_MAX <= number <= SECONDS_MAX:
        return None
    return f"its {name} is {number:g}; use a number up to {SECONDS_MAX:g}"
