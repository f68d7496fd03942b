"""What a job says reaches its listener whole, in order, with its source, before its end does."""

from __future__ import annotations

import pytest

from heavyjobs.events import Ended
from heavyjobs.model import Ending, Source
from heavyjobs.slots.process import WorkerProcess
from tests.slots.ears import run


async def test_each_line_has_its_source_and_level_however_it_was_said(worker: WorkerProcess) -> None:
    ear = run(worker, "say_everything")
    await ear.end()

    said = {(line.source, line.level, line.text) for line in ear.lines if "warned" not in line.text}
    assert said == {
        (Source.STDOUT, None, "printed"),
        (Source.LOGGING, 40, "logged 1"),
        (Source.LOGURU, 10, "loguru 2"),
        (Source.STDERR, None, "to stderr"),
        (Source.STDOUT, None, "echoed"),
        (Source.STDOUT, None, "written to 1"),
        (Source.STDERR, None, "written to 2 \\xff"),
        (Source.STDOUT, None, "bytes through Python"),
        (Source.STDOUT, None, "original"),
        (Source.STDOUT, None, "C says"),
        (Source.STDOUT, None, "unfinished"),
    }
    assert [line.source for line in ear.lines if "UserWarning: warned" in line.text] == [Source.LOGGING]


async def test_print_logging_and_loguru_keep_their_order_among_each_other(worker: WorkerProcess) -> None:
    ear = run(worker, "say_in_turn", {"rounds": 500})
    await ear.end()

    assert ear.texts == [f"{how} {number}" for number in range(500) for how in ("print", "logging", "loguru")]


async def test_what_cannot_be_stored_as_it_is_is_shown_all_the_same(worker: WorkerProcess) -> None:
    ear = run(worker, "say_odd_things")
    await ear.end()

    assert ear.texts[0] == "nul ␀ surrogate \\udc80"
    long = [line for line in ear.lines if line.text.startswith("xx")]
    assert ("".join(line.text for line in long), [line.continued for line in long]) == ("x" * 40_000, [True, True, False])
    assert ear.texts[4].startswith("%d arguments (cannot be formatted: ")
    assert ear.texts[5:] == ["", "two", "lines"]


async def test_a_status_that_is_too_large_raises_in_the_job_at_the_call(worker: WorkerProcess) -> None:
    ear = run(worker, "report_too_much")

    ended = await ear.end()

    assert ended.result is not None
    assert "the status of tests.deed takes 10.0 MiB, more than 64.0 KiB; store it" in ended.result
    assert ear.statuses == []


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("large", "the result of tests.deed takes 2.0 MiB, more than 1.0 MiB"),
        ("nul", "the result of tests.deed: text with a NUL character"),
        ("64 bits", "the result of tests.deed: the integer needs 71 bits, more than 64"),
        ("object", "the result of tests.deed is not JSON"),
    ],
)
async def test_a_result_that_cannot_be_stored_is_a_failure_that_is_not_tried_again(
    worker: WorkerProcess, what: str, reason: str
) -> None:
    ended = await run(worker, "give_unstorable", {"what": what}).end()

    assert (ended.ending, ended.retry) == (Ending.RAISED, False)
    assert reason in ended.message


async def test_a_result_that_is_not_what_the_class_says_is_named(worker: WorkerProcess) -> None:
    ended = await run(worker, "any", kind="tests.counted").end()

    assert (ended.ending, ended.retry) == (Ending.RAISED, False)
    assert "the result of tests.counted is not what its class says" in ended.message


async def test_what_is_said_after_a_job_is_not_the_next_ones(worker: WorkerProcess) -> None:
    first = run(worker, "say_everything")
    await first.end()
    second = run(worker, "give_back", {"value": 1})
    ended: Ended = await second.end()

    assert ended.result == "1"
    assert second.texts == []
