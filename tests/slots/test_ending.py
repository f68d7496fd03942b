"""However a job ends, its listener hears so once, with the cause."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from heavyjobs.model import Ending
from heavyjobs.slots.listener import Death
from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import run


async def test_a_job_that_returns_has_started_and_ended_with_its_result_and_what_it_used(worker: WorkerProcess) -> None:
    ear = run(worker, "give_back", {"value": [1, "two"]})

    ended = await ear.end()

    assert (ended.ending, ended.result, ended.worn) == (Ending.SUCCEEDED, '[1,"two"]', False)
    assert ear.has_started
    assert ended.bill.wall_seconds > 0
    assert ended.bill.memory_peak_bytes > 10 << 20


@pytest.mark.parametrize(
    ("deed", "arguments", "death", "last_word"),
    [
        ("segfault", {}, Death(None, signal.SIGSEGV), "before the fault"),
        pytest.param(
            "recurse_in_c",
            {},
            Death(None, signal.SIGSEGV),
            None,
            marks=pytest.mark.fault("process: a job recurses to the end of C's stack"),
        ),
        ("exit_with", {"code": 3}, Death(3, None), "before the exit"),
        ("exit_with", {"code": 0}, Death(0, None), "before the exit"),
        ("kill_itself", {}, Death(None, signal.SIGKILL), None),
    ],
)
async def test_a_worker_that_dies_is_heard_of_once_with_how_it_went(
    worker: WorkerProcess, deed: str, arguments: dict[str, int], death: Death, last_word: str | None
) -> None:
    ear = run(worker, deed, arguments)

    assert await ear.death() == death
    await worker.over.wait()
    assert len(ear.ends) == 1
    assert last_word is None or last_word in ear.texts


async def test_a_worker_killed_from_outside_in_the_middle_of_a_job_is_heard_of(worker: WorkerProcess) -> None:
    ear = run(worker, "hang", {"how": "sleep"})
    await ear.hears("hanging")

    os.kill(worker.root.pid, signal.SIGKILL)

    assert await ear.death() == Death(None, signal.SIGKILL)


@pytest.mark.parametrize(
    ("name", "ending", "message"),
    [
        pytest.param("SystemExit", Ending.RAISED, "SystemExit: 5", marks=pytest.mark.fault("process: a job raises SystemExit")),
        pytest.param(
            "KeyboardInterrupt",
            Ending.RAISED,
            "KeyboardInterrupt",
            marks=pytest.mark.fault("process: a job raises KeyboardInterrupt"),
        ),
        ("GeneratorExit", Ending.RAISED, "GeneratorExit"),
        ("MemoryError", Ending.OUT_OF_MEMORY, "MemoryError: none left"),
        ("Unpicklable", Ending.RAISED, "Unpicklable: 1 and 2"),
        pytest.param(
            "Unspeakable",
            Ending.RAISED,
            "Unspeakable: <cannot be said: RuntimeError>",
            marks=pytest.mark.fault("process: an error that cannot be said"),
        ),
        pytest.param(
            "ExitsWhenTold",
            Ending.RAISED,
            "ExitsWhenTold: <cannot be said: SystemExit>",
            marks=pytest.mark.fault("process: an error whose text asks to exit"),
        ),
        pytest.param(
            "Endless",
            Ending.RAISED,
            "Endless: <cannot be said: TookTooLong>",
            marks=pytest.mark.fault("process: an error whose text never ends"),
        ),
        ("EndlessGuarded", Ending.RAISED, "EndlessGuarded: <cannot be said: TookTooLong>"),
    ],
)
async def test_whatever_a_job_raises_is_its_ending_and_the_worker_goes_on(
    worker: WorkerProcess, name: str, ending: Ending, message: str
) -> None:
    ended = await run(worker, "raise_by_name", {"name": name}).end()

    assert (ended.ending, ended.message) == (ending, message)
    assert ended.traceback is not None
    assert "raise ERRORS[name]" in ended.traceback
    assert (await run(worker, "give_back").end()).ending is Ending.SUCCEEDED


@pytest.mark.fault("process: an error whose text never ends, of a job that masks signals")
async def test_errors_without_end_are_cut_short_though_the_job_has_masked_alarms(worker: WorkerProcess) -> None:
    ended = await run(worker, "raise_endless_behind_a_mask").end()

    assert ended.message == "Endless: <cannot be said: TookTooLong>"
    assert "raise Endless from EndlessGuarded()" in (ended.traceback or "")
    assert (await run(worker, "give_back").end()).ending is Ending.SUCCEEDED


async def test_an_error_with_odd_and_endless_text_is_told_within_bounds(worker: WorkerProcess) -> None:
    ended = await run(worker, "raise_by_name", {"name": "odd text"}).end()

    assert ended.message.startswith("ValueError: nul ␀ surrogate \\udc80 xxx")
    assert len(ended.message) < 5_000
    assert len(ended.traceback or "") < 40_000


@pytest.mark.fault("process: a job recurses without end")
async def test_endless_recursion_is_an_error_of_its_job(worker: WorkerProcess) -> None:
    ended = await run(worker, "recurse").end()

    assert ended.type == "builtins.RecursionError"


async def test_an_allocation_over_the_limit_fails_and_the_limit_is_lifted_for_the_next(worker: WorkerProcess) -> None:
    ended = await run(worker, "allocate", {"size": 1 << 30}, memory_bytes=400 << 20).end()
    after = await run(worker, "allocate", {"size": 1 << 30}).end()

    assert (ended.ending, ended.type) == (Ending.OUT_OF_MEMORY, "builtins.MemoryError")
    assert after.result == str(1 << 30)


async def test_a_typed_failure_cannot_be_swallowed(worker: WorkerProcess) -> None:
    ended = await run(worker, "fail_and_swallow").end()

    assert (ended.ending, ended.error, ended.retry) == (Ending.FAILED, '{"why":"really"}', False)


async def test_a_kind_that_no_module_defines_is_said_so(worker: WorkerProcess) -> None:
    ended = await run(worker, "any", kind="tests.ded").end()

    assert ended.message == "UnknownKind: tests.ded: no such kind; did you mean tests.deed?"
    assert not ended.retry


@pytest.mark.parametrize("delay", [number * 0.0004 for number in range(12)])
@pytest.mark.fault("process: a worker is killed at any moment of a short job")
async def test_a_kill_at_any_moment_of_a_short_job_ends_it_once(worker: WorkerProcess, delay: float) -> None:
    ear = run(worker, "say_in_turn", {"rounds": 20})
    await asyncio.sleep(delay)  # not to wait for anything: the moment is the point

    os.kill(worker.root.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        await worker.over.wait()

    assert len(ear.ends) == 1
    expected = [f"{how} {number}" for number in range(20) for how in ("print", "logging", "loguru")]
    assert ear.texts == expected[: len(ear.texts)], "what was said is whole and in order"


async def test_a_worker_that_is_over_is_spoken_to_without_harm(worker: WorkerProcess) -> None:
    await worker.end()
    speak: list[Callable[[], None]] = [worker.ping, worker.dump, worker.pause, worker.resume, lambda: worker.cancel(1)]

    for say in speak:
        say()

    assert worker.over.is_set()
