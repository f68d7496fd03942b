"""Cut the power at many points of one recording, and look at what each cut has left.

    python -m tests.faults.power.cutting RECORDING SEED TIMES

cuts a kept recording again as a test did. To record anew with its seed gives another recording: two stores work at once, in an
order that no seed decides.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from tests.faults.power.checking import wrong
from tests.faults.power.disk import Disk, Keeps
from tests.faults.power.promises import Promises
from tests.faults.power.recording import Event, Remark, load

ROOT: Final = Path(__file__).parents[3]
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only as the parent of a private folder, where there is such a place


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut: after so many events, with a disk that keeps so much; and what is wrong with what it has left."""

    after: int
    keeps: Keeps
    promised: int
    wrong: Sequence[str]


def recording_in(folder: Path, *, seed: int) -> Path:
    """Where `recorded` keeps it."""
    return folder / f"recording-{seed}"


def recorded(folder: Path, *, seed: int, steps: int, bug: str | None = None) -> Sequence[Event]:
    """Let a store work in a process of its own, and record what it does to its files."""
    recording = recording_in(folder, seed=seed)
    url = f"sqlite:///{folder}/worked-{seed}.db"
    argv: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.faults.power.work",
        recording,
        url,
        str(seed),
        str(steps),
        *([bug] if bug else []),
    ]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return load(recording)


async def cuts(events: Sequence[Event], *, seed: int, times: int) -> AsyncIterator[Cut]:
    """Cut at random points, in their order."""
    rng = Random(seed)  # noqa: S311 - chooses where to cut
    disk, promises, applied = Disk(), Promises(), 0
    for after in sorted(rng.choices(range(1, len(events) + 1), k=times)):
        for event in events[applied:after]:
            disk.apply(event)
            if isinstance(event, Remark):
                promises.take(event.says)
        applied = after
        keeps = rng.choice(list(Keeps))
        yield Cut(after, keeps, len(promises.facts), await _left(disk.cut(keeps, rng), promises))


async def _left(files: dict[str, bytes], promises: Promises) -> list[str]:
    # In memory where there is such a place: what follows the cut is not what is tried, and need not wait for a disk.
    folder = Path(tempfile.mkdtemp(prefix="heavyjobs-cut-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        [url] = {f"sqlite:///{folder / _database(name)}" for name in files} or {f"sqlite:///{folder}/none.db"}
        async with asyncio.timeout(60):
            return await wrong(url, promises)
    except Exception as error:  # noqa: BLE001 - whatever it is, the database could not be used after the cut
        return [f"{type(error).__name__}: {error}"]
    finally:
        shutil.rmtree(folder)


def _database(name: str) -> str:
    return name.removesuffix("-wal").removesuffix("-journal")


async def _cut_again(recording: Path, *, seed: int, times: int) -> None:
    async for cut in cuts(load(recording), seed=seed, times=times):
        if cut.wrong:
            print(cut)  # noqa: T201 - the answer


if __name__ == "__main__":
    asyncio.run(_cut_again(Path(sys.argv[1]), seed=int(sys.argv[2]), times=int(sys.argv[3])))
