"""Run what was asked for, then print the table."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from proving.tables import Row, of_bench, of_soak, of_tests, show

ROOT: Final = Path(__file__).parents[2]

Part = Callable[[Path, bool], list[Row]]


def main() -> None:
    options = argparse.ArgumentParser(
        prog="scripts/proof",
        description="What shows that nothing is lost and nothing done twice, in figures.",
        epilog="Exits 0 only if every figure is as it must be.",
    )
    options.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; by default all")
    options.add_argument(
        "--quick", action="store_true", help="a short soak and few seeds: to see that it works, not for figures"
    )
    given = options.parse_args()
    if unknown := [part for part in given.parts if part not in PARTS]:
        options.error(f"{unknown[0]}: no such part; there are {', '.join(PARTS)}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="heavyjobs-proof-") as folder:
        for part in given.parts or PARTS:
            rows += PARTS[part](Path(folder), given.quick)
    show(rows)
    sys.exit(not all(row.good for row in rows))


def tests(folder: Path, quick: bool) -> list[Row]:  # noqa: FBT001 - one shape for all parts
    """Faults by name, planted bugs, the machines."""
    answer = folder / "tests.json"
    more: Mapping[str, str] = {} if quick else {"HEAVYJOBS_SEEDS": "10000", "HEAVYJOBS_EXAMPLES": "1000"}
    witness = ["-p", "proving.witness", "--witness", str(answer), "--timeout", "7200"]
    spread = ["--numprocesses", "2", "--dist", "loadfile", "--no-loadscope-reorder"]  # as scripts/test does
    _run([sys.executable, "-m", "pytest", "-q", *witness, *spread], more)
    return of_tests(answer)


def soak(folder: Path, quick: bool) -> list[Row]:  # noqa: FBT001
    """Real processes and real faults, then the whole history."""
    answer = folder / "soak.json"
    asked = ["--minutes", "1"] if quick else ["--minutes", "16", "--jobs", "10000", "--faults", "2300"]
    _run([sys.executable, "-m", "soaking", *asked, "--json", str(answer)])
    return of_soak(answer)


def bench(folder: Path, quick: bool) -> list[Row]:  # noqa: FBT001
    """How fast it is itself again."""
    answer = folder / "bench.json"
    _run([sys.executable, "-m", "benchmarks", "restart", "recovery", "--json", str(answer), *(["--quick"] if quick else [])])
    return of_bench(answer)


PARTS: Final[dict[str, Part]] = {"tests": tests, "soak": soak, "bench": bench}


def _run(argv: list[str], more: Mapping[str, str] | None = None) -> None:
    began = time.monotonic()
    ended = subprocess.run(argv, cwd=ROOT, check=False, env={**os.environ, **(more or {})})
    print(f"── {argv[2]}: exit code {ended.returncode} after {time.monotonic() - began:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
