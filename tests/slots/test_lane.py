"""Many jobs on one event loop: each hears its own, and one that ends the process is known."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from heavyjobs.model import Ending
from heavyjobs.slots.listener import Death
from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import run


async def test_each_of_many_hears_its_own_lines_statuses_and_result(lane: WorkerProcess) -> None:
    ears = [run(lane, "say", {"text": f"job {number}"}) for number in range(30)]

    for number, ear in enumerate(ears):
        ended = await ear.end()
        assert ended.result == f'"job {number}"'
        assert ear.texts == [f"job {number}", f"job {number} again"]
        assert ear.statuses == [f'{{"text":"job {number}"}}']


async def test_what_threads_of_a_job_print_is_in_its_own_log(lane: WorkerProcess) -> None:
    ears = [run(lane, "say_in_threads", {"text": f"job {number}"}) for number in range(8)]

    for number, ear in enumerate(ears):
        await ear.end()
        assert ear.texts == [f"job {number} in the executor", f"job {number} in a thread"]


async def test_one_is_cancelled_and_the_others_go_on(lane: WorkerProcess) -> None:
    ears = [run(lane, "doze", {"seconds": 600 if number == 1 else 0.2}) for number in range(3)]
    await ears[1].hears("dozing")

    lane.cancel(ears[1].reference)

    assert [(await ear.end()).ending for ear in ears] == [Ending.SUCCEEDED, Ending.CANCELLED, Ending.SUCCEEDED]


async def test_a_cancel_that_a_job_lets_out_of_a_task_of_its_own_is_its_own_exception(lane: WorkerProcess) -> None:
    ended = await run(lane, "let_a_cancel_out").end()

    assert (ended.ending, ended.type) == (Ending.RAISED, "asyncio.exceptions.CancelledError")
    assert ended.traceback is not None
    assert "await task" in ended.traceback, "it says where"


async def test_tasks_that_a_job_left_are_cancelled_with_its_end(lane: WorkerProcess, tmp_path: Path) -> None:
    await run(lane, "leave_task", {"path": str(tmp_path / "late")}).end()

    await run(lane, "doze", {"seconds": 0.3}).end()

    assert not (tmp_path / "late").exists()


async def test_a_typed_failure_cannot_be_swallowed_here_either(lane: WorkerProcess) -> None:
    ended = await run(lane, "fail").end()

    assert (ended.ending, ended.error) == (Ending.FAILED, '{"why":"async"}')


async def test_a_death_names_the_invocation_whose_step_was_running(lane: WorkerProcess) -> None:
    dozing = run(lane, "doze")
    await dozing.hears("dozing")
    crashing = run(lane, "crash_in_step")

    assert await crashing.death() == Death(6, None, step=crashing.reference)
    assert await dozing.death() == Death(6, None, step=crashing.reference)


async def test_a_kill_while_all_wait_names_nobody(lane: WorkerProcess) -> None:
    dozing = run(lane, "doze")
    await dozing.hears("dozing")
    await asyncio.sleep(0.05)

    os.kill(lane.root.pid, signal.SIGKILL)

    assert await dozing.death() == Death(None, signal.SIGKILL, step=0)


@pytest.mark.parametrize("deed", ["exit_in_task"])
async def test_an_exit_asked_for_in_a_task_of_a_job_is_that_jobs(lane: WorkerProcess, deed: str) -> None:
    dozing = run(lane, "doze", {"seconds": 0.5})
    ended = await run(lane, deed).end()

    assert ended.message == "RuntimeError: SystemExit: 4"
    assert (await dozing.end()).ending is Ending.SUCCEEDED


@pytest.mark.fault("process: an error on the lane whose text never ends")
async def test_an_error_whose_text_never_ends_does_not_end_its_neighbours(lane: WorkerProcess) -> None:
    neighbour = run(lane, "doze", {"seconds": 5})
    await neighbour.hears("dozing")

    ended = await run(lane, "raise_endless").end()

    assert ended.message == "Endless: <cannot be said: TookTooLong>"
    assert (await neighbour.end()).ending is Ending.SUCCEEDED
