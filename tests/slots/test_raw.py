"""Raw output holds up nothing: an end is told although somebody writes on, and much of it is taken in bites."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from heavyjobs.model import Ending
from heavyjobs.slots.hearing import bytes_in
from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import DEADLINE_SECONDS, run

LINES_PER_TURN_MAX = 100_000


async def test_an_end_is_told_although_a_thread_that_was_left_writes_on(worker: WorkerProcess) -> None:
    ended = await run(worker, "leave_writer").end()

    assert (ended.ending, ended.worn) == (Ending.SUCCEEDED, True)


async def test_an_end_on_the_lane_is_told_although_a_neighbour_writes_on(lane: WorkerProcess) -> None:
    yes = run(lane, "run_yes")
    await yes.until(lambda: yes.heard > 0)

    assert (await run(lane, "doze", {"seconds": 0.1}).end()).ending is Ending.SUCCEEDED
    assert not yes.ends


async def test_a_heap_of_newlines_at_the_end_of_a_job_is_taken_in_bites(worker: WorkerProcess) -> None:
    worker.pause()
    ear = run(worker, "write_newlines", {"size": 200_000})
    async with asyncio.timeout(DEADLINE_SECONDS):
        while bytes_in(worker._up) < 100:  # the frame that says that it has ended  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    worker.resume()
    heard = [0]
    while not ear.ends:
        await asyncio.sleep(0)  # one turn of the loop
        heard.append(ear.heard)

    assert heard[-1] == 400_000
    assert max(after - before for before, after in pairwise(heard)) < LINES_PER_TURN_MAX


async def test_what_a_crashed_job_had_written_is_heard_to_the_last_byte(worker: WorkerProcess) -> None:
    worker.pause()
    ear = run(worker, "exit_with", {"code": 3})

    await ear.death()

    assert ear.texts == ["before the exit"]
