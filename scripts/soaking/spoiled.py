"""A soak whose findings are planted: when all is calm, a few jobs are spoilt, one each in a way that the judge must see.

    python -m soaking.spoiled SOAK-ARGUMENTS…

On SQLite alone. A judge that finds nothing proves nothing.
"""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final
from unittest.mock import patch
from uuid import UUID

from heavyjobs.store.protocol import Store
from soaking import __main__ as soaking
from soaking import leftovers, running, witness
from soaking.figures import Figures
from soaking.hosts import SOAK
from soaking.jobs import Soaked
from soaking.stage import Stage
from soaking.traffic import Traffic

LINES_MIN: Final = 2


def _lost(database: sqlite3.Connection, job: UUID) -> None:
    for table, key in (("jobs", "id"), ("invocations", "job"), ("logs", "job")):
        database.execute(f"DELETE FROM heavyjobs_{table} WHERE {key} = ?", [job.bytes])  # noqa: S608 - our own words


def _doubled(database: sqlite3.Connection, job: UUID) -> None:
    columns = [row[1] for row in database.execute("PRAGMA table_info(heavyjobs_invocations)")]
    others = ", ".join(column for column in columns if column != "claim")
    database.execute(
        f"INSERT INTO heavyjobs_invocations (claim, {others}) SELECT claim + 1, {others}"  # noqa: S608 - the table's own words
        " FROM heavyjobs_invocations WHERE job = ? ORDER BY claim DESC LIMIT 1",
        [job.bytes],
    )
    database.execute("UPDATE heavyjobs_jobs SET claim = claim + 1 WHERE id = ?", [job.bytes])


def _untrue(database: sqlite3.Connection, job: UUID) -> None:
    database.execute("UPDATE heavyjobs_jobs SET result = '\"another''s\"' WHERE id = ?", [job.bytes])


def _silenced(database: sqlite3.Connection, job: UUID) -> None:
    database.execute("DELETE FROM heavyjobs_logs WHERE job = ?", [job.bytes])


def _overlapping(database: sqlite3.Connection, job: UUID) -> None:
    with Path(witness.path()).open("a") as file:
        file.write(f"0.0 1 {job} 1 begin 1\n{witness.now():.6f} 1 {job} 1 end\n")
        file.write(f"0.5 2 {job} 1 begin 1\n")


SPOILS: Final[Mapping[str, Callable[[sqlite3.Connection, UUID], None]]] = {
    "accepted": _lost,
    "endings": _doubled,
    "outcome": _untrue,
    "lines": _silenced,
    "overlap": _overlapping,
}
"""By the check that must find it."""


async def _spoil(stage: Stage, traffic: Traffic) -> None:
    with closing(sqlite3.connect(str(stage.database.path), isolation_level=None)) as database:
        well = {UUID(bytes=row[0]) for row in database.execute("SELECT id FROM heavyjobs_jobs WHERE state = 'succeeded'")}
        good = [job for job, ordered in traffic.accepted.items() if job in well and _fits(ordered.job)]
        for spoil, job in zip(SPOILS.values(), good, strict=False):
            spoil(database, job)


def _fits(job: Soaked) -> bool:
    return job.lines >= LINES_MIN and job.should().result is not None


def main() -> None:
    judged, struck = running.judge, leftovers.strike

    async def judge(stage: Stage, observer: Store, traffic: Traffic, figures: Figures) -> None:
        await _spoil(stage, traffic)
        await judged(stage, observer, traffic, figures)

    def strike(stage: Stage, figures: Figures) -> None:
        stray = subprocess.Popen(["sleep", "600"], env={SOAK: stage.soak, "PATH": "/usr/bin:/bin"})
        struck(stage, figures)
        stray.wait()

    with patch.object(running, "judge", judge), patch.object(running, "strike", strike):
        soaking.main()


if __name__ == "__main__":
    main()
