"""A tree is found and ended however deep it is, and whatever goes wrong meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from heavyjobs.processes import COORDINATOR_MARK
from heavyjobs.slots.bill import sample
from heavyjobs.slots.process import WorkerProcess
from heavyjobs.slots.tree import below, end, end_left_by
from tests.slots.ears import DEADLINE_SECONDS, run


class Numbered(psutil.Process):
    """A process that there is not."""

    def __init__(self, pid: int) -> None:
        self._pid = pid


def test_a_chain_of_five_thousand_processes_is_walked_to_its_end() -> None:
    children = {pid: [Numbered(pid + 1)] for pid in range(1, 5000)}

    assert [process.pid for process in below([1], children)] == list(range(2, 5001))


def test_a_walk_ends_although_a_number_was_given_to_another_process_meanwhile() -> None:
    children = {1: [Numbered(2)], 2: [Numbered(3)], 3: [Numbered(1)]}

    assert [process.pid for process in below([1, 3], children)] == [1, 2, 3]


@pytest.mark.fault("process: a chain of processes is 150 deep")
async def test_a_chain_of_shells_is_measured_and_ended(worker: WorkerProcess) -> None:
    ear = run(worker, "nest_processes", {"depth": 150})
    await ear.hears("bottom")

    used = sample([worker.root.pid])
    swept = await worker.end()

    await ear.death()
    assert used[worker.root.pid].memory_bytes > 10 << 20
    assert len(swept.descendants) >= 150
    assert swept.left == ()


@pytest.mark.fault("time: the clock of a host is set while a job runs there")
@pytest.mark.skipif(sys.platform != "linux", reason="no start time here that the clock does not move; run these tests on Linux")
async def test_a_worker_is_still_known_by_its_start_after_the_clock_was_set(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = run(worker, "leave_children_and_hang", {"how": "daemon"})
    await ear.hears("hanging")
    before = psutil.boot_time()
    # The kernel says when it was booted by its clock of now.
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: before + 3600)

    worker.cancel(ear.reference)
    await ear.until(lambda: ear.texts.count("hanging") == 2)
    swept = await worker.end()

    assert (await ear.death()).signal == signal.SIGKILL
    assert any(f"({ear.texts[0]})" in label for label in swept.descendants)


async def test_a_process_with_the_number_of_one_that_was_seen_before_is_found(worker: WorkerProcess) -> None:
    ear = run(worker, "leave_children_and_hang", {"how": "session"})
    await ear.until(lambda: bool(ear.texts))
    (seen,) = [process for process in psutil.process_iter() if process.pid == int(ear.texts[0])]
    seen._ident = (seen.pid, 0.0)  # type: ignore[attr-defined]  # as if another had had the number at the last look

    swept = await worker.end()

    assert any(f"({ear.texts[0]})" in label for label in swept.descendants)


async def test_a_worker_that_was_stopped_is_killed_whatever_goes_wrong_in_between(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    ear = run(worker, "hang", {"how": "sleep"})
    await ear.hears("hanging")
    monkeypatch.setattr(psutil, "pids", refuse)

    with pytest.raises(OSError, match="Too many open files"):
        end(worker.root)

    async with asyncio.timeout(DEADLINE_SECONDS):
        await worker.over.wait()
    await ear.death()


@pytest.mark.fault("storage: the folder for scratch is removed while jobs run")
async def test_a_worker_is_ended_though_the_folder_for_scratch_is_gone(
    worker: WorkerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = run(worker, "swallow_all")
    await ear.hears("hanging")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "removed"))

    swept = await worker.end()

    assert swept.left == ()
    assert (await ear.death()).signal == signal.SIGKILL


@pytest.mark.parametrize("script", ["env -i sleep 600 & echo $!; wait", "(env -i sleep 600 & echo $!) & wait; sleep 600"])
def test_what_a_dead_coordinator_left_is_ended_though_it_was_started_without_an_environment(script: str) -> None:
    marked = {**os.environ, COORDINATOR_MARK: "4000001 7.0"}
    with subprocess.Popen(["sh", "-c", script], env=marked, stdout=subprocess.PIPE, start_new_session=True) as shell:
        assert shell.stdout is not None
        bare = psutil.Process(int(shell.stdout.readline()))

        end_left_by(4000001, 7.0)

        bare.wait(DEADLINE_SECONDS)
        assert shell.wait(DEADLINE_SECONDS) == -signal.SIGKILL


def test_what_a_dead_coordinator_left_ends_nobody_that_carries_no_mark() -> None:
    unmarked = {name: value for name, value in os.environ.items() if name != COORDINATOR_MARK}
    with subprocess.Popen(["sleep", "600"], env=unmarked) as bystander:
        swept = end_left_by(0, 0.0)

        assert swept.descendants == ()
        assert bystander.poll() is None
        bystander.kill()
