"""A process that writes is killed at any moment, forty times on one database: all that it told is there, nothing is half."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from tests.faults.power.checking import wrong
from tests.faults.power.cutting import ROOT
from tests.faults.power.promises import Promises

KILLS = 40
DEADLINE_SECONDS = 30


@pytest.mark.fault("storage: a writing process is killed, SQLite")
async def test_what_a_killed_process_told_is_in_the_database_and_nothing_is_half(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    url, promises = f"sqlite:///{tmp_path}/jobs.db", Promises(crash_only=True)
    rng = Random(7)  # noqa: S311 - chooses when to kill
    nursery = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.power.nursery", url, cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=1 << 20
    )
    try:
        for number in range(KILLS):
            for remark in await _killed(nursery, seed=number, after=rng.randint(1, 60), late_seconds=rng.uniform(0, 0.004)):
                promises.take(remark)

            assert await wrong(url, promises, work_on=number % 5 == 4) == []
    finally:
        assert nursery.stdin is not None
        nursery.stdin.close()
        await nursery.wait()

    record_property("figure: writers killed", KILLS)
    assert len(promises.facts) > 10 * KILLS, "hardly anything was told"


async def _killed(nursery: Process, *, seed: int, after: int, late_seconds: float) -> list[dict[str, Any]]:
    """What the next process remarked until it was killed, so many remarks and then some time after its start."""
    assert nursery.stdin is not None
    nursery.stdin.write(b"%d\n" % seed)
    async with asyncio.timeout(DEADLINE_SECONDS):
        pid = orjson.loads(await _line(nursery))["pid"]
        lines = [await _line(nursery) for _ in range(after)]
        await asyncio.sleep(late_seconds)  # not to wait for anything: so that it dies in the middle of whatever it does
        os.kill(pid, signal.SIGKILL)
        while (line := await _line(nursery)) != b"gone\n":
            lines.append(line)
    return [remark for line in lines if (remark := _whole(line)) is not None]


async def _line(nursery: Process) -> bytes:
    assert nursery.stdout is not None
    line = await nursery.stdout.readline()
    assert line, f"the nursery has ended: {nursery.returncode}"
    return line


def _whole(line: bytes) -> dict[str, Any] | None:
    try:
        remark: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:  # killed in the middle of it: nobody was told
        return None
    return remark
