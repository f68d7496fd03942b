"""How to reach what is ours from within a job, as only harm would."""

from __future__ import annotations

import gc

from heavyjobs.slots.wire import Wire


def wire() -> Wire:
    """Ours, dug up as only harm would."""
    return next(found for found in gc.get_objects() if isinstance(found, Wire))
