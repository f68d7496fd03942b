"""A request to stop is heard once, in the job's own code, never in the middle of what must stay whole."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from pathlib import Path

import psutil
import pytest

from heavyjobs import events
from heavyjobs.model import Ending
from heavyjobs.slots.process import WorkerProcess
from heavyjobs.values import NULL, JsonText
from tests.slots.ears import run, start


@pytest.mark.parametrize("how", ["sleep", "spin", "regex", "C sleep", "C sleep holding the lock", "lock", "child"])
async def test_a_request_to_stop_is_raised_in_the_main_thread(worker: WorkerProcess, how: str) -> None:
    ear = run(worker, "hang", {"how": how})
    await ear.hears("hanging")

    worker.cancel(ear.reference)

    ended = await ear.end()
    assert (ended.ending, ended.type) == (Ending.CANCELLED, "heavyjobs.errors.CancelRequested")


async def test_a_request_to_stop_that_comes_before_the_jobs_code_is_kept_for_it(worker: WorkerProcess) -> None:
    ear = run(worker, "hang", {"how": "sleep"})

    worker.cancel(ear.reference)
    await ear.until(lambda: ear.has_started or bool(ear.ends))
    worker.cancel(ear.reference)

    assert (await ear.end()).ending is Ending.CANCELLED


async def test_a_request_to_stop_between_jobs_hits_nobody(worker: WorkerProcess) -> None:
    for _ in range(20):
        ear = run(worker, "give_back", {"value": 1})
        await ear.end()
        os.kill(worker.root.pid, signal.SIGUSR1)
        worker.cancel(ear.reference)

    assert (await run(worker, "give_back", {"value": 2}).end()).result == "2"


async def test_a_thousand_requests_in_a_flood_of_lines_leave_the_pipe_whole() -> None:
    worker = await start(recycle_after=10_000)
    chance = random.Random(4)  # noqa: S311
    for _ in range(1000):
        ear = run(worker, "flood_until_stopped")
        await ear.until(lambda ear=ear: bool(ear.lines))  # type: ignore[misc]
        for _ in range(chance.randrange(20)):
            await asyncio.sleep(0)

        worker.cancel(ear.reference)

        ended = await ear.end()
        numbers = [int(text.split()[1]) for text in ear.texts]
        assert numbers == list(range(len(numbers)))
        assert ended.ending in {Ending.SUCCEEDED, Ending.CANCELLED}, ended
        assert not worker.over.is_set()
    await worker.end()


@pytest.mark.fault("process: a job ignores SIGTERM and swallows every request to stop")
async def test_what_ignores_every_request_is_ended_by_force(worker: WorkerProcess) -> None:
    ear = run(worker, "swallow_all")
    await ear.hears("hanging")
    worker.cancel(ear.reference)
    await ear.until(lambda: ear.texts.count("hanging") == 2)

    await worker.end()

    assert (await ear.death()).signal == signal.SIGKILL


async def test_stacks_are_told_while_c_code_holds_the_interpreters_lock(worker: WorkerProcess) -> None:
    ear = run(worker, "hang_in_c")
    await ear.hears("hanging")
    await asyncio.to_thread(holds_the_lock, worker)

    worker.dump()

    await ear.hears("in hang_in_c")
    assert not ear.ends


@pytest.mark.fault("process: a job is cancelled while it publishes")
async def test_a_publish_is_never_cut_in_two(worker: WorkerProcess, tmp_path: Path) -> None:
    path = tmp_path / "out"
    ear = run(worker, "publish", {"path": str(path)}, answer=lambda _: JsonText("true"))
    await asyncio.to_thread(stopped, worker)
    worker.cancel(ear.reference)
    os.kill(worker.root.pid, signal.SIGCONT)

    ended = await ear.end()

    assert ended.result in {'"published"', '"cancelled, nothing there"'}
    assert path.exists() == (ended.result == '"published"')
    assert set(tmp_path.iterdir()) == ({path} if path.exists() else set())  # noqa: ASYNC240


async def test_a_request_during_a_checkpoint_waits_for_its_answer(worker: WorkerProcess) -> None:
    asked: list[events.Request] = []

    def answer(request: events.Request) -> JsonText:
        asked.append(request)
        if len(asked) == 5:
            worker.cancel(ear.reference)
        return NULL

    ear = run(worker, "checkpoint_until_stopped", answer=answer)

    assert (await ear.end()).ending is Ending.CANCELLED
    assert len(asked) == 5, "the fifth was answered, a sixth was not begun"


async def test_a_request_is_held_back_until_the_shield_is_left(worker: WorkerProcess) -> None:
    ear = run(worker, "shielded")
    await ear.hears("shielded")

    worker.cancel(ear.reference)

    ended = await ear.end()
    assert json.loads(ended.result or "null") == ["inside", "cancelled"]


async def test_a_worker_in_which_a_request_was_raised_is_not_used_again(worker: WorkerProcess) -> None:
    ear = run(worker, "hang", {"how": "sleep"})
    await ear.hears("hanging")
    worker.cancel(ear.reference)

    ended = await ear.end()

    assert ended.worn, "the request may have come between the taking of some library's lock and its release"


def stopped(worker: WorkerProcess) -> None:
    """Wait until the job has stopped itself."""
    process = psutil.Process(worker.root.pid)
    while process.status() != psutil.STATUS_STOPPED:
        pass


def holds_the_lock(worker: WorkerProcess) -> None:
    """Wait until the process computes: it does nothing else."""
    process = psutil.Process(worker.root.pid)
    before = process.cpu_times().user
    while process.cpu_times().user < before + 0.05:
        pass
