"""Failures, by name: each costs one invocation, has its cause, and is retried as far as the budget goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from heavyjobs import Client, JobDead
from heavyjobs.model import Bill, Cause, Ending, InvocationRecord, JobState
from tests.lifecycle.asking import endings, until
from tests.lifecycle.work import Burn, Count, Flaky, Greedy, Refuse, Refused, Timed

pytestmark = pytest.mark.usefixtures("coordinator")


async def test_a_job_that_raises_is_tried_again_until_it_succeeds(client: Client) -> None:
    handle = await client.submit(Flaky(good_from=3))

    assert await handle.result(timeout=20) == 3
    assert await endings(client, handle) == [Ending.RAISED, Ending.RAISED, Ending.SUCCEEDED]
    assert [line.text async for line in handle.logs() if line.text.startswith("attempt")] == [
        "attempt 1",
        "attempt 2",
        "attempt 3",
    ]


@pytest.mark.parametrize(
    ("how", "ending", "code", "number"),
    [
        pytest.param("exit", Ending.CRASHED, 3, None, marks=pytest.mark.fault("process: a job calls os._exit")),
        pytest.param("kill", Ending.CRASHED, None, 9, marks=pytest.mark.fault("process: a worker is killed")),
        pytest.param("segfault", Ending.CRASHED, None, 11, marks=pytest.mark.fault("process: a segmentation fault")),
    ],
)
async def test_a_crash_costs_one_attempt_and_its_cause_is_kept(
    client: Client, how: str, ending: Ending, code: int | None, number: int | None
) -> None:
    handle = await client.submit(Flaky(good_from=2, how=how))

    assert await handle.result(timeout=20) == 2
    first, second = await client.invocations(handle.id)
    cause = cause_of(first)
    assert (cause.ending, cause.exit_code, cause.signal) == (ending, code, number)
    assert second.ending is Ending.SUCCEEDED


async def test_the_bill_of_a_crash_has_what_it_had_computed_and_written(client: Client, tmp_path: Path) -> None:
    handle = await client.submit(Burn(until=tmp_path / "enough"))
    seen: list[Bill] = []

    async def billed() -> bool:
        seen[:] = [one.bill for one in await client.invocations(handle.id)]
        return bool(seen) and seen[0].cpu_seconds > 0.2 and seen[0].written_bytes > 1 << 20

    await until(billed)
    (tmp_path / "enough").touch()

    await handle.wait(timeout=20)
    (crashed,) = await client.invocations(handle.id)
    assert crashed.ending is Ending.CRASHED
    assert crashed.bill.cpu_seconds >= seen[0].cpu_seconds
    assert crashed.bill.written_bytes >= seen[0].written_bytes
    assert crashed.bill.wall_seconds >= seen[0].wall_seconds


async def test_the_last_words_of_a_crash_are_in_its_log(client: Client) -> None:
    handle = await client.submit(Flaky(good_from=2, how="segfault"))
    await handle.result(timeout=20)

    text = "\n".join([line.text async for line in handle.logs(claim=1)])

    assert "Fatal Python error: Segmentation fault" in text
    assert "fail_by" in text, "the stack names the line"


async def test_a_job_whose_budget_is_used_up_is_dead_with_its_traceback_and_last_lines(client: Client) -> None:
    handle = await client.submit(Flaky(good_from=9))

    with pytest.raises(JobDead, match=r"dead after attempt 3 of 3: ValueError: not yet") as raised:
        await handle.result(timeout=20)

    dead = raised.value
    assert dead.cause is not None
    assert dead.cause.ending is Ending.RAISED
    assert dead.traceback is not None
    assert dead.traceback.rstrip().endswith("ValueError: not yet")
    assert "heavyjobs/slots" not in dead.traceback, "people look for their own code"
    assert dead.log_tail[0] == "attempt 3"
    assert (await handle.job()).state is JobState.DEAD


async def test_a_typed_error_reaches_the_caller_and_says_whether_to_try_again(client: Client) -> None:
    stubborn = await client.submit(Refuse(retry=True))
    final = await client.submit(Refuse(retry=False))

    with pytest.raises(JobDead) as after_three:
        await stubborn.result(timeout=20)
    with pytest.raises(JobDead) as after_one:
        await final.result(timeout=20)

    assert after_three.value.error == Refused(reason="attempt 3")
    assert after_one.value.error == Refused(reason="attempt 1")
    assert (await final.job()).attempt == 1


@pytest.mark.parametrize(
    "how",
    [
        "sleep",
        pytest.param("stubborn", marks=pytest.mark.fault("process: a job swallows its timeout")),
        pytest.param("lock", marks=pytest.mark.fault("process: C code holds the GIL past the timeout of its job")),
    ],
)
async def test_a_timeout_ends_the_try_whatever_the_job_does(client: Client, how: str) -> None:
    handle = await client.submit(Timed(how=how))

    with pytest.raises(JobDead, match="ran longer than its timeout of 300 ms"):
        await handle.result(timeout=30)

    assert await endings(client, handle) == [Ending.TIMED_OUT, Ending.TIMED_OUT]


@pytest.mark.fault("process: a job allocates more memory than it may")
async def test_an_allocation_over_the_limit_ends_as_out_of_memory_with_figures(client: Client) -> None:
    handle = await client.submit(Greedy(in_child=False))

    with pytest.raises(JobDead, match=r"MemoryError.* passed the limit of 300 MiB \(.* were in use\)") as raised:
        await handle.result(timeout=20)

    assert raised.value.cause is not None
    assert raised.value.cause.ending is Ending.OUT_OF_MEMORY


@pytest.mark.fault("process: child programs use more memory than their job may")
async def test_child_programs_count_against_the_memory_of_their_job(client: Client) -> None:
    handle = await client.submit(Greedy(in_child=True))

    with pytest.raises(JobDead, match=r"used [345]\d\d(\.\d)? MiB of 300 MiB") as raised:
        await handle.result(timeout=30)

    assert raised.value.cause is not None
    assert raised.value.cause.ending is Ending.OUT_OF_MEMORY
    (invocation,) = await client.invocations(handle.id)
    assert invocation.bill.memory_peak_bytes > 300 << 20


@pytest.mark.fault("people: a poison job crashes every process it gets")
@pytest.mark.fault("process: a poison job kills its worker at every attempt")
async def test_a_job_that_takes_its_worker_down_leaves_its_neighbours_alone(client: Client, tmp_path: Path) -> None:
    poison = await client.submit(Flaky(good_from=9, how="kill"))
    neighbours = await client.submit_many([Count(upto=number) for number in range(1, 9)])

    assert [(await one.result(timeout=20)).total for one in neighbours] == list(range(1, 9))
    with pytest.raises(JobDead, match="killed by signal 9"):
        await poison.result(timeout=20)
    assert {(await one.job()).attempt for one in neighbours} == {1}


def cause_of(invocation: InvocationRecord) -> Cause:
    assert invocation.cause is not None
    return invocation.cause
