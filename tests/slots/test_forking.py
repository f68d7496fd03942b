"""What jobs do to the process that workers are forked from costs no other job its worker, nor a death its notice."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

import psutil
import pytest

from heavyjobs.slots.process import WorkerProcess
from heavyjobs.slots.sockets import sockets_folder
from tests.slots.ears import DEADLINE_SECONDS, Ear, run, start
from tests.slots.keeping import Keeper


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("folder", marks=pytest.mark.fault("process: a job removes the folder of the fork server's socket")),
        pytest.param("socket", marks=pytest.mark.fault("process: a job removes the fork server's socket")),
    ],
)
async def test_a_job_that_removes_the_server_s_socket_keeps_no_worker_from_being_started(keeper: Keeper, what: str) -> None:
    old = server_of(keeper.pool.workers[0])
    await harm(keeper, what)

    await end_one(keeper)

    assert (await give_back(keeper.pool.take())) == '"given"'
    assert {server_of(worker) for worker in keeper.pool.workers} - {old}, "the new one comes from another"


@pytest.mark.parametrize("what", ["folder", "socket"])
async def test_a_worker_of_the_old_server_goes_on_and_its_death_is_told_truly(keeper: Keeper, what: str) -> None:
    await harm(keeper, what)
    kept = await end_one(keeper)

    assert await give_back(kept) == '"given"'
    ear = run(kept, "kill_itself")

    death = await ear.death()
    assert (death.signal, death.blameless) == (signal.SIGKILL, False)


async def test_the_old_server_leaves_with_the_last_of_its_workers(keeper: Keeper) -> None:
    old = server_of(keeper.pool.workers[0])
    await harm(keeper, "folder")
    kept = await end_one(keeper)
    assert old.is_running()

    await kept.end()

    with suppress(psutil.NoSuchProcess):
        old.wait(DEADLINE_SECONDS)
    assert not old.is_running()


async def test_a_worker_is_ended_and_told_dead_though_its_server_is_stopped(worker: WorkerProcess) -> None:
    ear = run(worker, "hang", {"how": "sleep"})
    await ear.hears("hanging")
    server_of(worker).suspend()

    swept = await worker.end()

    assert (await ear.death()).signal == signal.SIGKILL
    assert swept.left == ()


async def test_a_start_that_nobody_wants_any_more_ends_though_its_server_is_stopped(worker: WorkerProcess) -> None:
    server_of(worker).suspend()
    starting = asyncio.create_task(start())
    await asyncio.wait([starting], timeout=0.5)  # not to wait for anything: it stands still, or does not come that far

    starting.cancel()

    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(asyncio.CancelledError):
            await starting


def server_of(worker: WorkerProcess) -> psutil.Process:
    server = psutil.Process(worker.root.pid).parent()
    assert server is not None
    return server


async def harm(keeper: Keeper, what: str) -> None:
    worker = keeper.pool.take()
    await run(worker, "remove_sockets", {"folder": sockets_folder(), "what": what}).end()
    keeper.pool.give_back(worker, worn=False)


async def end_one(keeper: Keeper) -> WorkerProcess:
    """End a worker and wait for another in its place; the one that was there before."""
    ended, kept = keeper.pool.workers
    await ended.end()
    await keeper.idle(2)
    return kept


async def give_back(worker: WorkerProcess) -> str | None:
    ear: Ear = run(worker, "give_back", {"value": "given"})
    return (await ear.end()).result
