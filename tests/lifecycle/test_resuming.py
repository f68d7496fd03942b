"""A job goes on from its checkpoint, after a crash and after it was dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from heavyjobs import Client, JobDead
from heavyjobs.model import Ending, JobState
from tests.lifecycle.asking import endings
from tests.lifecycle.work import LastStep, Steps

pytestmark = pytest.mark.usefixtures("coordinator")


@pytest.mark.fault("process: a worker is killed between two checkpoints")
async def test_a_job_whose_worker_was_killed_goes_on_from_its_checkpoint(client: Client, tmp_path: Path) -> None:
    handle = await client.submit(Steps(path=tmp_path / "steps"))

    assert await handle.result(timeout=20) == [0, 1, 2, 3], "no step was done twice"
    assert await endings(client, handle) == [Ending.CRASHED, Ending.SUCCEEDED]


async def test_a_dead_job_that_is_sent_again_has_a_new_budget_and_its_checkpoint(client: Client, tmp_path: Path) -> None:
    handle = await client.submit(LastStep(until=tmp_path / "mended"))
    with pytest.raises(JobDead, match="after attempt 1 of 1"):
        await handle.result(timeout=20)

    (tmp_path / "mended").touch()
    await handle.retry()

    assert await handle.result(timeout=20) == "resumed from 7"
    record = await handle.job()
    assert (record.state, record.epoch, record.attempt, record.claim) == (JobState.SUCCEEDED, 2, 1, 2)


async def test_a_fresh_retry_forgets_the_checkpoint(client: Client, tmp_path: Path) -> None:
    handle = await client.submit(LastStep(until=tmp_path / "mended"))
    with pytest.raises(JobDead):
        await handle.result(timeout=20)

    (tmp_path / "mended").touch()
    await handle.retry(fresh=True)

    assert await handle.result(timeout=20) == "from the start"
