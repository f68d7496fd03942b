"""A job loses, closes or spoils what its worker speaks through: it ends with a cause, and hangs in no case."""

from __future__ import annotations

import os
import signal

import pytest

from heavyjobs.model import Ending
from heavyjobs.slots import hearing
from heavyjobs.slots.hearing import bytes_in
from heavyjobs.slots.listener import Death
from heavyjobs.slots.process import WorkerProcess
from tests.lifecycle.asking import until
from tests.slots.ears import run, start


@pytest.mark.fault("process: a job closes its standard streams")
async def test_a_job_without_standard_streams_ends_well_and_lends_their_numbers_to_nobody(worker: WorkerProcess) -> None:
    ear = run(worker, "close_streams")

    ended = await ear.end()

    assert (ended.ending, ended.result, ear.texts) == (Ending.SUCCEEDED, '"done"', ["said all the same"])
    assert ended.worn, "the next job's files would get the numbers of its streams"


@pytest.mark.fault("process: a job closes the pipe to its coordinator and returns")
async def test_a_job_that_closed_the_pipe_and_returns_crashes_with_its_cause_in_the_log(worker: WorkerProcess) -> None:
    ear = run(worker, "close_all_but_streams", {"then": "return"})

    assert await ear.death() == Death(1, None)
    assert any("Bad file descriptor" in text for text in ear.texts)


@pytest.mark.fault("process: a job closes the pipe to its coordinator and hangs")
async def test_a_job_that_closed_the_pipe_and_goes_on_is_given_up(worker: WorkerProcess) -> None:
    ear = run(worker, "close_all_but_streams", {"then": "hang"})

    death = await ear.death()

    assert death == Death(None, signal.SIGKILL, reason="it has closed the pipe on which it speaks")


@pytest.mark.parametrize("then", ["hang", "return"])
@pytest.mark.fault("process: a job leaves half a frame in the pipe to its coordinator")
async def test_a_job_that_left_half_a_frame_is_given_up(monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    monkeypatch.setattr(hearing, "HALF_FRAME_SECONDS", 0.5)
    worker = await start()
    ear = run(worker, "write_half_a_frame", {"then": then})

    death = await ear.death()

    assert death == Death(None, signal.SIGKILL, reason="it has left half a frame")
    await worker.end()


async def test_half_a_frame_that_follows_an_end_in_one_bite_is_not_left_to_the_next_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hearing, "HALF_FRAME_SECONDS", 0.5)
    worker = await start()
    worker.pause()
    ear = run(worker, "leave_half_a_frame_behind")
    await until(lambda: bytes_in(worker._up) > 1000)

    worker.resume()

    assert (await ear.end()).ending is Ending.SUCCEEDED
    await until(worker.over.is_set)


async def test_a_pipe_with_nothing_in_it_yet_is_not_taken_for_one_at_its_end(worker: WorkerProcess) -> None:
    worker._hearing._on_frames()  # the loop may find it readable when it is not

    assert (await run(worker, "give_back", {"value": 1}).end()).result == "1"


@pytest.mark.fault("process: a worker is killed while it writes its result")
async def test_a_result_that_was_cut_off_is_no_result(worker: WorkerProcess) -> None:
    ear = run(worker, "fill_the_pipe_and_return")
    worker.pause()
    await until(lambda: bytes_in(worker._up) > 850_000)  # more than the lines, less than lines and result

    os.kill(worker.root.pid, signal.SIGKILL)

    assert await ear.death() == Death(None, signal.SIGKILL)
    assert ear.texts == ["x" * 8000] * 100, "what was said before it is whole"


@pytest.mark.fault("process: a job prints one line of 100 MB")
async def test_a_line_of_100_mb_arrives_in_pieces(worker: WorkerProcess) -> None:
    ear = run(worker, "say_at_length", {"size": 100_000_000})

    ended = await ear.end()

    assert ended.ending is Ending.SUCCEEDED
    lines = ear.lines
    assert sum(len(line.text) for line in lines) == 100_000_000
    assert [line.continued for line in lines[-2:]] == [True, False]
