"""What a job leaves running is ended and named before the next one starts."""

from __future__ import annotations

import asyncio
import json
import os

import psutil
import pytest

from heavyjobs.model import Ending, Source
from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import run


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("plain", marks=pytest.mark.fault("process: a job leaves a child program")),
        pytest.param("session", marks=pytest.mark.fault("process: a job leaves a child in a session of its own")),
        pytest.param("no environment", marks=pytest.mark.fault("process: a job leaves a child without its environment")),
        pytest.param(
            "daemon", marks=pytest.mark.fault("process: a job leaves a daemon, forked twice, without its environment")
        ),
        pytest.param("deaf", marks=pytest.mark.fault("process: a job leaves a child that ignores SIGTERM")),
    ],
)
async def test_processes_that_a_job_left_are_named_in_its_log_and_gone_at_its_end(worker: WorkerProcess, how: str) -> None:
    ear = run(worker, "leave_children", {"how": how})

    ended = await ear.end()

    pid = json.loads(ended.result or "0")
    assert not lives(pid)
    (remark,) = [line.text for line in ear.lines if line.source is Source.HEAVYJOBS]
    assert remark.startswith("ended what the job left running: ")
    assert f"({pid})" in remark
    assert not ended.worn


@pytest.mark.parametrize("how", ["plain", "session", "no environment", "daemon", "deaf"])
async def test_processes_of_a_job_that_is_ended_by_force_go_with_it(worker: WorkerProcess, how: str) -> None:
    ear = run(worker, "leave_children_and_hang", {"how": how})
    await ear.until(lambda: bool(ear.texts))
    pid = int(ear.texts[0])

    swept = await worker.end()

    await ear.death()
    assert not lives(pid)
    assert any(f"({pid})" in label for label in swept.descendants)
    assert swept.left == ()


@pytest.mark.fault("process: a worker crashes and leaves child programs")
async def test_processes_of_a_worker_that_crashed_go_with_it(worker: WorkerProcess) -> None:
    ear = run(worker, "leave_children_and_crash")

    await ear.death()

    pid = int(ear.texts[0])
    assert not lives(pid)


async def test_a_worker_with_a_thread_left_over_is_not_used_again(worker: WorkerProcess) -> None:
    assert (await run(worker, "leave_thread").end()).worn


async def test_a_worker_that_has_done_enough_is_worn(worker: WorkerProcess) -> None:
    assert not (await run(worker, "give_back").end()).worn


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
async def test_a_job_may_use_multiprocessing_again_and_again(worker: WorkerProcess, method: str) -> None:
    for _ in range(2):
        ended = await run(worker, "use_multiprocessing", {"method": method}).end()

        assert ended.result == "3", ended.traceback


@pytest.mark.fault("process: a fork of a job returns from it as well")
async def test_a_fork_that_comes_back_from_run_is_not_taken_for_the_job(worker: WorkerProcess) -> None:
    ear = run(worker, "fork_and_return")

    ended = await ear.end()

    assert ended.result == '"parent"'
    assert sorted(ear.texts) == ["line of a fork", "line of the parent"]
    assert (await run(worker, "give_back", {"value": 1}).end()).result == "1"


async def test_forks_that_print_at_once_spoil_nobodys_lines(worker: WorkerProcess) -> None:
    ear = run(worker, "fork_and_flood")

    assert (await ear.end()).ending is Ending.SUCCEEDED
    numbers = [int(text.split()[2]) for text in ear.texts if text.startswith("parent line")]
    assert numbers == list(range(300))
    assert len([text for text in ear.texts if text.startswith("child 1 line")]) == 300


async def test_an_idle_worker_leaves_when_its_pipe_ends(worker: WorkerProcess) -> None:
    os.close(worker._down)
    worker._down = os.open(os.devnull, os.O_WRONLY)

    async with asyncio.timeout(20):
        await worker.over.wait()
    assert not lives(worker.root.pid)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
