"""Replay one seed and tell all that happens in it, or try many and tell what they met.

python -m tests.simulation 42 --mode liveness
python -m tests.simulation 0 --mode safety --seeds 5000
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.seeds import run
from tests.simulation.simulation import Mode, simulate
from tests.simulation.world import told


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Replay one seed, or try many.")
    parser.add_argument("seed", type=int, help="the seed, or the first of many")
    parser.add_argument("--mode", type=Mode, default=Mode.SAFETY, choices=list(Mode))
    parser.add_argument("--seeds", type=int, help="try so many, and print the figures")
    wanted = parser.parse_args()
    raise SystemExit(_many(wanted.seed, wanted.seeds, wanted.mode) if wanted.seeds else _one(wanted.seed, wanted.mode))


def _one(seed: int, mode: Mode) -> bool:
    report = simulate(seed, mode)
    _say(*told(report.trace), *report.broken)
    return bool(report.broken)


def _many(first: int, seeds: int, mode: Mode) -> bool:
    totals = run(range(first, first + seeds), mode)
    _say(*totals.red, str(totals))
    return bool(totals.red)


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
