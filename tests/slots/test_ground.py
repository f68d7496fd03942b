"""A job finds its process as if it were the first one there."""

from __future__ import annotations

from pathlib import Path

import pytest

from heavyjobs.model import Ending
from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import run


@pytest.mark.fault("process: a job changes folder, umask, environment, locale, signals and alarms under the next one")
async def test_what_a_job_changes_of_its_process_is_put_back_for_the_next(worker: WorkerProcess, tmp_path: Path) -> None:
    before = (await run(worker, "tell_everything").end()).result

    changed = await run(worker, "change_everything", {"folder": str(tmp_path)}).end()

    assert (changed.ending, changed.worn) == (Ending.SUCCEEDED, False)
    assert (await run(worker, "tell_everything").end()).result == before


@pytest.mark.fault("process: a job sets an alarm for later, and leaves the next one deaf")
async def test_an_alarm_that_was_left_hits_nobody_and_the_next_job_hears_its_cancel(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    await run(worker, "change_everything", {"folder": str(tmp_path)}).end()
    ear = run(worker, "swallow_all")
    await ear.hears("hanging")

    worker.cancel(ear.reference)
    await ear.until(lambda: ear.texts.count("hanging") == 2)
    worker.dump()
    await ear.hears("in swallow_all")

    assert not ear.ends


@pytest.mark.fault("process: an alarm of a job raises once that is over")
async def test_an_alarm_that_raises_after_its_job_has_ended_does_not_end_the_worker(worker: WorkerProcess) -> None:
    ended = await run(worker, "leave_an_alarm_that_raises").end()

    assert ended.ending in {Ending.SUCCEEDED, Ending.RAISED}, "on a slow machine it may come before the job is over"
    assert (await run(worker, "give_back", {"value": 1}).end()).result == "1"


@pytest.mark.fault("process: a job ends with signals that it has blocked and that came meanwhile")
async def test_signals_that_wait_behind_a_jobs_mask_kill_nobody_once_it_is_done(worker: WorkerProcess) -> None:
    blocked = await run(worker, "block_signals_and_raise_them").end()

    assert blocked.ending is Ending.SUCCEEDED
    assert (await run(worker, "give_back", {"value": 1}).end()).result == "1"


async def test_stacks_are_told_of_the_next_job_though_one_took_that_signal_for_itself(worker: WorkerProcess) -> None:
    await run(worker, "take_the_dump_signal").end()
    ear = run(worker, "swallow_all")
    await ear.hears("hanging")

    worker.dump()

    await ear.hears("in swallow_all")


async def test_a_folder_that_a_job_removed_under_itself_is_left(worker: WorkerProcess, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    await run(worker, "change_everything", {"folder": str(tmp_path / "gone")}).end()
    (tmp_path / "gone").rmdir()

    assert (await run(worker, "give_back", {"value": 1}).end()).result == "1"


async def test_a_worker_whose_priority_was_lowered_for_good_is_worn(worker: WorkerProcess) -> None:
    assert (await run(worker, "be_nice").end()).worn
