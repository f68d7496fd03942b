"""The copy in the box with another budget of attempts."""

from __future__ import annotations

from heavyjobs import JobConfig
from heavyjobs.jobs import Copy


class OftenCopy(Copy, kind="storage_tests.often_copy"):
    """May die as often as a test likes, and comes back at once."""

    config = JobConfig(attempts=6, backoff="10ms")
    interval_bytes = 4 << 20
