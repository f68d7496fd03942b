"""A job whose process was stopped is seen by people: in its log and in that of its coordinator."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.coordinator.invocation import CONTINUED, STOPPED
from heavyjobs.model import Ending, Source
from tests.lifecycle.asking import AnyHandle, endings, said
from tests.lifecycle.hosts import Daemon
from tests.lifecycle.work import StopsItself


@pytest.mark.fault("process: a job without a timeout is stopped by a signal")
async def test_a_job_that_is_stopped_and_continued_is_said_to_be_once_each(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "host", url) as daemon:
        stopped = await client.submit(StopsItself(until=tmp_path / "enough"))
        await said(stopped, STOPPED)
        await daemon.says(STOPPED)

        os.kill(await pid_of(stopped), signal.SIGCONT)

        await said(stopped, CONTINUED)
        (tmp_path / "enough").touch()
        assert await stopped.result(timeout=30) == "rested"
        own = [line.text async for line in stopped.logs() if line.source is Source.HEAVYJOBS]
        assert own == [STOPPED, CONTINUED]
        assert (daemon.said.count(STOPPED), daemon.said.count(CONTINUED)) == (1, 1)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_job_that_is_stopped_is_ended_by_a_cancel(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "host", url):
        stopped = await client.submit(StopsItself(until=tmp_path / "enough"))
        await said(stopped, STOPPED)

        await stopped.cancel()

        assert await endings(client, stopped) == [Ending.CANCELLED]


async def pid_of(handle: AnyHandle) -> int:
    (pid,) = [line.text async for line in handle.logs() if line.source is Source.STDOUT]
    return int(pid)
