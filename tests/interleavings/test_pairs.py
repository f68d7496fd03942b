"""The table of pairs leaves no two sorts of verb out."""

from __future__ import annotations

from itertools import combinations_with_replacement

from tests.interleavings.pairs import PAIRS


async def test_every_two_verbs_are_tried_together() -> None:
    """The verbs of each sort are tried with those of every other sort, and of their own."""
    sorts = {
        "claim": {"claim", "claim late"},
        "finish": {"finish", "die"},
        "cancel": {"cancel"},
        "forfeit": {"forfeit"},
        "tick": {"tick"},
        "retry": {"retry"},
        "cascade": {"fall", "cancel parent"},
        "hand back": {"hand back"},
        "spawn": {"spawn", "spawn again"},
        "drop": {"drop"},
    }
    tried = {frozenset(pair.verbs) for pair in PAIRS}

    missing = [
        (one, other)
        for one, other in combinations_with_replacement(sorts, 2)
        if not any({first, second} in tried for first in sorts[one] for second in sorts[other])
    ]

    assert missing == []
