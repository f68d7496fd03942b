"""The whole path of one job: from submit to its typed result, status, log and bill."""

from __future__ import annotations

import pytest

from heavyjobs import Client
from heavyjobs.model import Ending, JobState, Source
from tests.lifecycle.work import Count, Counted, Counting

pytestmark = pytest.mark.usefixtures("coordinator")


async def test_a_job_comes_back_as_its_typed_result(client: Client) -> None:
    handle = await client.submit(Count(upto=5))

    assert await handle.result(timeout=20) == Counted(total=5)
    assert await handle.status() == Counting(done=5)
    record = await handle.job()
    assert (record.state, record.attempt, record.claim) == (JobState.SUCCEEDED, 1, 1)


async def test_every_line_that_a_job_says_is_stored_with_its_source_before_its_result_is(client: Client) -> None:
    handle = await client.submit(Count())
    await handle.result(timeout=20)

    lines = [line async for line in handle.logs()]

    by_source = {(line.source, line.text) for line in lines}
    assert by_source == {
        (Source.STDOUT, "printed"),
        (Source.LOGGING, "logged"),
        (Source.LOGURU, "loguru says"),
        (Source.STDOUT, "echoed"),
        (Source.STDERR, "raw words"),
    }
    assert [line.number for line in lines] == list(range(len(lines)))


async def test_the_bill_of_an_invocation_is_kept_with_who_ran_it(client: Client) -> None:
    handle = await client.submit(Count())
    await handle.result(timeout=20)

    (invocation,) = await client.invocations(handle.id)

    assert invocation.ending is Ending.SUCCEEDED
    assert invocation.slot.startswith("slot")
    assert invocation.bill.wall_seconds > 0
    assert invocation.bill.memory_peak_bytes > 10 << 20
    assert invocation.bill.written_bytes > 0
