"""Who reads a coordinator's log may stop reading; the coordinator does not."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from heavyjobs import Client
from tests.lifecycle.asking import ticked
from tests.lifecycle.hosts import Daemon
from tests.lifecycle.work import Square

PIPE_BYTES = 4096


@pytest.fixture
def pipe() -> Iterator[int]:
    """The end to write to of a small pipe that nobody reads."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    yield write
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_log_that_nobody_reads_holds_up_neither_jobs_nor_ticks(
    client: Client, url: str, tmp_path: Path, pipe: int
) -> None:
    with Daemon(tmp_path / "host", url, unread=pipe):
        squares = await client.submit_many([Square(number=number) for number in range(100)])

        assert [await square.result(timeout=20) for square in squares] == [number * number for number in range(100)]
        await ticked(client)
