"""A worker that cannot be killed is given up, and used by nobody again.

Uninterruptible sleep cannot be had at will, so these workers are known by a wrong start time: whatever is sent to them is not.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from heavyjobs.events import WorkerOptions
from heavyjobs.slots.listener import Death
from heavyjobs.slots.process import WorkerProcess
from heavyjobs.slots.starting import start_process
from heavyjobs.waiting import first_of
from tests.slots.ears import DEADLINE_SECONDS, DEEDS, ROOT, run


@pytest.fixture
async def immortal() -> AsyncIterator[WorkerProcess]:
    started = start_process(WorkerOptions(marker=uuid4().hex, modules=(DEEDS,), path=(str(ROOT),)), (), lane=False)
    mistaken = replace(started.root, started=started.root.started + 1000)
    worker = WorkerProcess("slot 1", replace(started, root=mistaken), lane=False)
    assert await first_of(worker.warm, seconds=DEADLINE_SECONDS)
    yield worker
    await die(worker)


@pytest.mark.fault("process: a worker cannot be killed")
async def test_a_worker_that_cannot_be_killed_is_set_aside_and_its_job_told(immortal: WorkerProcess) -> None:
    ear = run(immortal, "hang", {"how": "sleep"})
    await ear.hears("hanging")

    await immortal.end(seconds=0.2)

    assert await ear.death() == Death(None, None, reason="it cannot be ended: slot 1")
    assert immortal.over.is_set()
    assert not immortal.usable
    assert immortal.running == 0


async def test_a_worker_that_was_set_aside_and_dies_after_all_is_not_heard_of_again(immortal: WorkerProcess) -> None:
    ear = run(immortal, "hang", {"how": "sleep"})
    await ear.hears("hanging")
    await immortal.end(seconds=0.2)

    await die(immortal)

    assert len(ear.ends) == 1


async def die(worker: WorkerProcess) -> None:
    """Kill it as only those can who know it, and wait until that has been noticed."""
    if worker._dying is None:
        os.kill(worker.root.pid, signal.SIGKILL)
        worker.over.clear()
        assert await first_of(worker.over, seconds=DEADLINE_SECONDS)
