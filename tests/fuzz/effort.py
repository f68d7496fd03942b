"""How much is tried: a little, and the same each time; or as many as `HEAVYJOBS_EXAMPLES` says, others each time."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings


def effort(examples: int = 100, *, most: int = 1_000_000) -> settings:
    """The settings of a fuzz test: `examples` where nobody asks for more, and `most` where each takes long."""
    asked = int(os.environ.get("HEAVYJOBS_EXAMPLES", "0"))
    return settings(
        max_examples=min(max(examples, asked), most),
        derandomize=not asked,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )
