"""The table of pairs, `pairs.txt`, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Pair:
    """Two verbs, and the state of the job that they start from."""

    state: str
    verbs: tuple[str, str]

    def __str__(self) -> str:
        return f"{self.state}: {' + '.join(self.verbs)}"


def read(table: str) -> Mapping[Pair, frozenset[tuple[str, ...]]]:
    """Each pair, and what may become of it."""
    pairs: dict[Pair, frozenset[tuple[str, ...]]] = {}
    pair = Pair("", ("", ""))
    for line in table.splitlines():
        if line.startswith(" ") and not line.strip().startswith("#"):
            pairs[pair] |= {tuple(line.strip().split(" | "))}
        elif line and line[0] not in "# ":
            state, _, verbs = line.partition(": ")
            one, _, other = verbs.partition(" + ")
            pair = Pair(state, (one, other))
            pairs[pair] = frozenset()
    return pairs


PAIRS: Final = read(Path(__file__).with_name("pairs.txt").read_text())
