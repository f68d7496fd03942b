"""What others may write: any bytes cut anywhere, any value that JSON can say and some that it cannot, any text."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Final, TypeAlias

from hypothesis import strategies as st

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

ODD_TEXTS: Final = (
    "", "\0", "\ud800", "a\udcffb", "\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "\u202egnp.exe", "\u2028", "\r\n",
    "-1", "null",
    "env:HOME", "file:/etc/passwd", "../../x", "𝔘𝔫𝔦", "\ufeff", "x" * 300,
)  # fmt: skip

TEXTS: Final = st.one_of(
    st.sampled_from(ODD_TEXTS), st.text(max_size=20), st.text(st.characters(categories=["Cs", "Cc", "Cf"]))
)
"""Any text, lone surrogates and control characters included."""

NUMBERS: Final = st.one_of(
    st.integers(),
    st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -0.0]),
    st.floats(allow_nan=True, allow_infinity=True),
)


def nested(depth: int) -> list[Json]:
    value: list[Json] = []
    for _ in range(depth):
        value = [value]
    return value


VALUES: Final[st.SearchStrategy[Json]] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
"""What `json` can say, NaN and lone surrogates included."""

DEEP: Final = st.sampled_from([100, 300, 1100, 5000, 100_000]).map(lambda depth: "[" * depth + "]" * depth)
HUGE: Final = st.sampled_from([20, 400, 5000, 100_000]).map(lambda digits: "9" * digits)

DOCUMENTS: Final = st.one_of(
    VALUES.map(json.dumps), DEEP, HUGE, st.sampled_from(["NaN", "1e999", '"\\ud800"', '"\\u0000"', ""])
)
"""JSON as text, and a little that is none."""


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream, cut at these places."""
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


CUTS: Final = st.lists(st.integers(0, 1 << 20), max_size=20)
