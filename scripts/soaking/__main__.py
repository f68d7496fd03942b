"""Soak what was asked for, print the figures, keep the evidence of what is red."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from heavyjobs.testing.postgres import postgres_server
from soaking.cast import StoreName
from soaking.databases import POSTGRES_SETTINGS
from soaking.figures import Figures, console, show
from soaking.plan import make
from soaking.running import soak
from soaking.witness import written_in

JOBS_PER_MINUTE: Final = 600
FAULTS_PER_MINUTE: Final = 130
STORES: Final[Sequence[StoreName]] = ("sqlite", "postgres")


def main() -> None:
    given = _options().parse_args()
    stores: Sequence[StoreName] = STORES if given.store == "both" else [given.store]
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    minutes = given.minutes / len(stores)
    jobs = max(1, round((given.jobs or JOBS_PER_MINUTE * given.minutes) / len(stores)))
    faults = round((FAULTS_PER_MINUTE * given.minutes if given.faults is None else given.faults) / len(stores))
    print(
        f"seed {seed}: {jobs:,} jobs and {faults:,} faults in {minutes * 60:.0f} s on each of {', '.join(stores)}", flush=True
    )
    folder = Path(given.keep or tempfile.mkdtemp(prefix="heavyjobs-soak-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with _ended_by_signals(folder if given.keep is None else None):
        found = [_soak(folder, store, seed=seed, seconds=minutes * 60, jobs=jobs, faults=faults) for store in stores]
    show(found)
    if given.json:
        Path(given.json).write_text(json.dumps([figures.plain() for figures in found], indent=2) + "\n", "utf-8")
    _conclude(found, folder, kept=given.keep is not None, seed=seed, asked=sys.argv[1:])


def _soak(folder: Path, store: StoreName, *, seed: int, seconds: float, jobs: int, faults: int) -> Figures:
    own = folder / store
    own.mkdir()
    plan = make(seed=seed, store=store, seconds=seconds, jobs=jobs, faults=faults, outputs=own / "outputs")

    kills = max(1, min(20, round(seconds / 30)))
    logging.basicConfig(filename=own / "client.log", force=True)
    with (
        written_in(own),
        postgres_server(settings=POSTGRES_SETTINGS) if store == "postgres" else nullcontext() as server,
    ):
        return asyncio.run(soak(plan, own, server, kills=kills))


def _conclude(found: Sequence[Figures], folder: Path, *, kept: bool, seed: int, asked: Sequence[str]) -> None:
    good = all(figures.good for figures in found)
    if not kept and good:
        shutil.rmtree(folder)
    if good:
        console.print(f"all right (seed {seed})" + (f"; kept in {folder}" if kept else ""))
        return
    command = " ".join([*_without_seed(asked), "--seed", str(seed)])
    console.print(f"not right: {', '.join(f'{figures.store}: {figures.findings}' for figures in found if figures.findings)}")
    console.print(
        f"what there is to see is in {folder}: databases, diary.jsonl (faults and findings), witness, logs of the hosts"
    )
    console.print(f"the same plan again: scripts/soak {command}")
    console.print("(it meets other moments: real processes are not deterministic)")
    sys.exit(1)


def _without_seed(words: Sequence[str]) -> Sequence[str]:
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in {"--seed", "--keep", "--json"}:
            next(rest, None)
        elif not word.startswith(("--seed=", "--keep=", "--json=")):
            kept.append(word)
    return kept


@contextmanager
def _ended_by_signals(folder: Path | None) -> Generator[None]:
    """SIGTERM ends it as Ctrl-C does: with all that it has started, and the folder if there is one to remove."""

    def interrupt(_number: int, _frame: object) -> None:
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background processes ignore it
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None:
            shutil.rmtree(folder)
        sys.exit("interrupted; everything that was started has been ended")


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Real coordinators, thousands of jobs, a seeded plan of faults; then a judge reads the whole history.",
        epilog="Exits 0 only if nothing was lost, doubled, overlapping or left behind. A red soak keeps all there is to see "
        "in a folder that it names, and says how to run its plan again.",
    )
    options.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        help="of the plans of all stores together (default 10); a slow machine takes longer",
    )
    options.add_argument("--jobs", type=int, help=f"in all, their children not counted (default {JOBS_PER_MINUTE} a minute)")
    options.add_argument("--faults", type=int, help=f"in all (default {FAULTS_PER_MINUTE} a minute)")
    options.add_argument("--seed", type=int, help="of the plan (default: a fresh one, which is printed)")
    options.add_argument("--store", choices=[*STORES, "both"], default="both")
    options.add_argument("--keep", metavar="FOLDER", help="keep everything there, also when all is right")
    options.add_argument("--json", metavar="FILE", help="write the figures there too")
    return options


if __name__ == "__main__":
    main()
