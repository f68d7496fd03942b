"""Whatever the order of their steps, two verbs that run at once end as one of the few ways that `pairs.txt` allows.

A failure names its order; `HEAVYJOBS_ORDER=AABBA` plays that one alone.
"""

from __future__ import annotations

import os
from typing import Final

from tests.interleavings.pairs import PAIRS, Pair
from tests.interleavings.stages import Stage

ORDER: Final = os.environ.get("HEAVYJOBS_ORDER")


async def all_orders(stage: Stage, pair: Pair) -> None:
    """Play a pair in every order of its steps, or in the one that was asked for, and hold what came of it against the table."""
    outcomes = await stage.play_all(pair, ORDER)

    wrong = {" | ".join(outcome): order for outcome, order in outcomes.items() if outcome not in PAIRS[pair]}
    assert not wrong, "\n".join(f"{outcome}, with HEAVYJOBS_ORDER={order}" for outcome, order in wrong.items())
    if ORDER is None:
        never = PAIRS[pair] - outcomes.keys()
        assert not never, f"no order leads to {never}: leave it out"
