"""A worker that does not live to be started costs its coordinator nothing but another try."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from multiprocessing import forkserver
from pathlib import Path

import pytest

from heavyjobs.events import Confinement, WorkerOptions
from heavyjobs.model import Ending
from heavyjobs.slots import pool as pool_module
from heavyjobs.slots.guardian import Guardian
from heavyjobs.slots.pool import LaneKeeper, Pool
from heavyjobs.slots.starting import NotStarted, start_process
from tests.slots.dying import ONCE, WHO
from tests.slots.ears import DEADLINE_SECONDS, DEEDS, ROOT, run, start

OPTIONS = WorkerOptions(
    marker="starting", modules=(DEEDS,), path=(str(ROOT),), confinement=Confinement(environment=("TESTED_*",))
)


@pytest.fixture(
    params=[
        pytest.param("server", marks=pytest.mark.fault("process: the fork server killed while it starts a worker")),
        pytest.param("worker", marks=pytest.mark.fault("process: a worker killed while it starts")),
        pytest.param("stopped", marks=pytest.mark.fault("process: a worker stopped before it is ready")),
    ]
)
def once(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new process that forks, which will die, or whose first worker will, or stop; the path is there once it has."""
    monkeypatch.setattr(pool_module, "WARM_SECONDS", 5.0)
    monkeypatch.setenv(WHO, request.param)
    monkeypatch.setenv(ONCE, str(tmp_path / "once"))
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # multiprocessing wants to reap it itself
    return tmp_path / "once"


def has_died(once: Path) -> bool:
    return once.exists()


@pytest.mark.parametrize("left", range(1, 20))
@pytest.mark.fault("process: no descriptors are left to start a worker with")
async def test_a_worker_that_lacks_descriptors_is_told_with_a_remedy_and_leaks_none(left: int) -> None:
    first = await start()  # which has the process that forks workers started
    gc.collect()
    before = descriptors()

    with only_descriptors(left), pytest.raises(NotStarted, match="ulimit -n"):
        start_process(OPTIONS, (DEEDS,), lane=False)

    gc.collect()
    assert descriptors() <= before
    assert (await run(first, "give_back").end()).ending is Ending.SUCCEEDED, "the process that forks workers has died"
    await first.end()


@contextmanager
def only_descriptors(left: int) -> Generator[None]:
    """So many more may be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as filled:
        highest = max(descriptors()) + 1
        while filled.enter_context(Path(os.devnull).open()).fileno() < highest:
            pass
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + left, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors() -> set[int]:
    return {number for path in Path("/dev/fd").iterdir() if is_open(number := int(path.name))}


def is_open(number: int) -> bool:
    """The one that listed the folder is not, any more."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


async def test_a_pool_has_its_worker_though_the_first_one_died_as_it_was_started(once: Path) -> None:
    guardian, idle = Guardian(), asyncio.Event()
    guardian.start()
    told: list[str] = []
    pool = Pool(OPTIONS, guardian, preload=("tests.slots.dying",), on_idle=idle.set, on_stillborn=told.append, target=1)
    tending = asyncio.create_task(pool.tend())

    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.wait([tending, waiting := asyncio.create_task(idle.wait())], return_when=asyncio.FIRST_COMPLETED)

    assert has_died(once)
    assert waiting.done()
    assert pool.idle == 1
    assert told, "an operator has to see it in the log"
    tending.cancel()
    await pool.close()
    guardian.stop()


async def test_a_lane_is_there_though_the_first_one_died_as_it_was_started(once: Path) -> None:
    guardian, warm = Guardian(), asyncio.Event()
    guardian.start()
    told: list[str] = []
    lane = LaneKeeper(
        OPTIONS,
        guardian,
        preload=("tests.slots.dying",),
        on_warm=lambda: warm.set() if lane.worker else None,
        on_stillborn=told.append,
    )
    tending = asyncio.create_task(lane.tend())

    assert lane.worker is None
    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.wait([tending, waiting := asyncio.create_task(warm.wait())], return_when=asyncio.FIRST_COMPLETED)

    assert has_died(once)
    assert waiting.done()
    assert told, "an operator has to see it in the log"
    tending.cancel()
    await lane.close()
    guardian.stop()
