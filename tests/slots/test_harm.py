"""A job can end its own worker in many ways, and harm nothing else."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from heavyjobs.events import HEADER, Code, frame
from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import run, start


async def test_a_job_finds_no_descriptor_but_its_own_streams_and_the_pipe(worker: WorkerProcess) -> None:
    ended = await run(worker, "name_descriptors").end()

    found = json.loads(ended.result or "{}")
    others = {name: target for name, target in found.items() if name not in {"0", "1", "2"} and target != "/dev/null"}
    assert found["0"] == "/dev/null"
    assert len(others) == 2, others
    assert all(target.startswith("pipe:") for target in others.values()), others


@pytest.mark.fault("process: a job closes all descriptors")
async def test_a_job_that_closes_all_descriptors_ends_its_worker_alone(worker: WorkerProcess) -> None:
    neighbour = await start()
    ear = run(worker, "close_everything")

    death = await ear.death()

    assert death.exit_code not in {0, None} or death.signal is not None
    assert (await run(neighbour, "give_back", {"value": 1}).end()).result == "1"
    await neighbour.end()


@pytest.mark.fault("process: a job writes a pickle to every descriptor that it finds")
async def test_a_pickle_written_to_every_descriptor_is_unpickled_by_nobody(worker: WorkerProcess, tmp_path: Path) -> None:
    ear = run(worker, "pickle_everywhere", {"path": str(tmp_path / "harm")})

    death = await ear.death()

    assert death.signal == signal.SIGKILL, "what comes over the pipe is no frame: the worker is not to be trusted"
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(1 << 30, Code.LOG, 1),
        frame(Code.ENDED, 1, b"{}"),
        frame(Code.ENDED, 1, b'{"ending":"succeeded","result":"not JSON"}'),
        frame(Code.STATUS, 1, b"\xff"),
        frame(Code.STATUS, 1, b"not JSON"),
        frame(Code.ASK, 1, b'{"number":1,"request":{"verb":"drop tables"}}'),
    ],
)
@pytest.mark.fault("process: a job writes garbage to the pipe to its coordinator")
async def test_frames_that_are_none_of_ours_end_the_worker(worker: WorkerProcess, data: bytes) -> None:
    ear = run(worker, "write_to_pipe", {"data": list(data)})

    death = await ear.death()
    assert death.signal == signal.SIGKILL
    assert death.reason


async def test_a_frame_that_is_too_large_is_named_with_its_size(worker: WorkerProcess) -> None:
    ear = run(worker, "write_to_pipe", {"data": list(HEADER.pack(1 << 30, Code.LOG, 1))})

    assert (await ear.death()).reason == "a frame of 1073741824 bytes was announced; the most is 8388608"


async def test_frames_of_an_unknown_code_or_reference_are_passed_over(worker: WorkerProcess) -> None:
    data = frame(Code.LOG, 77, b"[]") + frame(Code.ENDED, 77, b"{}") + frame(Code.HELLO, 0)
    ear = run(worker, "write_to_pipe", {"data": list(data)})
    await ear.until(lambda: ear.has_started)

    worker.cancel(ear.reference)

    assert (await ear.end()).ending == "cancelled"
