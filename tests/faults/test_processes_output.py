"""Whatever a job writes is stored within bounds, readable, and harmless to the terminal of whoever reads it."""

from __future__ import annotations

import asyncio
import re
import sys

import pytest

from heavyjobs import Client, JobDead
from tests.faults.work import WORK, Binary, Odd
from tests.lifecycle.asking import AnyHandle, texts, ticked, until
from tests.lifecycle.hosts import ROOT, coordinating

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.mark.fault("process: a job floods its streams with binary")
async def test_a_flood_of_binary_is_kept_within_its_bound_and_holds_up_no_tick(client: Client, url: str) -> None:
    async with coordinating(url, modules=[WORK], log_bytes=1 << 20):
        binary = await client.submit(Binary(size=6 << 20))
        await until(lambda: has_begun(client, binary))
        await ticked(client, times=3)
        await binary.result(timeout=60)

    (invocation,) = await client.invocations(binary.id)
    kept = await texts(binary)
    assert invocation.log_dropped_lines > 0
    assert 0 < sum(map(len, kept)) < 4 << 20
    assert not re.search("[\0\ud800-\udfff]", "".join(kept)), "text that every database can hold"


@pytest.mark.fault("process: a job says invalid UTF-8, NUL, ANSI and OSC sequences")
async def test_odd_bytes_are_stored_visibly_and_tailed_harmlessly(client: Client, url: str) -> None:
    async with coordinating(url, modules=[WORK]):
        odd = await client.submit(Odd())
        with pytest.raises(JobDead):
            await odd.result(timeout=30)

    assert {"raw", "printed", "logged"} <= {text.split()[0] for text in await texts(odd) if text}
    for command in ("logs", "show"):
        shown = await told(url, command, str(odd.id))
        assert "nul ␀ bell" in shown
        assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown) == []


async def has_begun(client: Client, handle: AnyHandle) -> bool:
    return bool(await client.invocations(handle.id))


async def told(url: str, *arguments: str) -> str:
    """What the command line says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "heavyjobs", "--database", url, *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    return said.decode()
