"""Logs are complete and in order, and stay within their bound."""

from __future__ import annotations

import pytest

from heavyjobs import Client
from heavyjobs.model import Source
from tests.lifecycle.asking import texts
from tests.lifecycle.hosts import coordinating
from tests.lifecycle.work import Chatty


@pytest.mark.usefixtures("coordinator")
async def test_fifty_thousand_lines_arrive_complete_and_in_order(client: Client) -> None:
    handle = await client.submit(Chatty(lines=50_000))
    await handle.result(timeout=60)

    assert await texts(handle) == [f"line {number}" for number in range(50_000)]


@pytest.mark.usefixtures("coordinator")
@pytest.mark.fault("process: a job floods its streams with lines")
async def test_a_flood_of_raw_output_arrives_complete_and_in_order(client: Client) -> None:
    handle = await client.submit(Chatty(lines=50_000, raw=True))
    await handle.result(timeout=60)

    assert await texts(handle) == [f"line {number}" for number in range(50_000)]


async def test_what_the_bound_leaves_out_is_counted_in_the_log_and_its_end_is_kept(client: Client, url: str) -> None:
    async with coordinating(url, log_bytes=20_000):
        handle = await client.submit(Chatty(lines=5_000))
        await handle.result(timeout=20)

    lines = [line async for line in handle.logs()]
    (invocation,) = await client.invocations(handle.id)
    own = [line.text for line in lines if line.source is Source.HEAVYJOBS]
    kept = [line.text for line in lines if line.source is Source.STDOUT]
    assert own == [
        "the log has reached its bound of 20000 bytes; what follows is counted, not kept",
        f"{invocation.log_dropped_lines} lines were left out here",
    ]
    assert len(kept) + invocation.log_dropped_lines == 5_000
    assert kept[-200:] == [f"line {number}" for number in range(4_800, 5_000)]
    assert kept[:-200] == [f"line {number}" for number in range(len(kept) - 200)]
