"""What lies on the disk is its user's alone, and a job's process finds nothing there that is not its own."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from heavyjobs import Client
from heavyjobs.store import open_store
from tests.lifecycle.hosts import Daemon
from tests.security import work


@pytest.mark.fault("security: other users of the host look for the database")
def test_a_database_that_is_made_is_its_users_alone_and_its_folder_is_left_as_it_was(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    before = os.umask(0)
    try:
        modes = asyncio.run(_modes_in_use(tmp_path))
    finally:
        os.umask(before)

    assert {"jobs.db", "jobs.db-wal"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


async def _modes_in_use(folder: Path) -> dict[str, int]:
    """The permissions of all files in the folder, while a database is open there."""
    async with open_store(f"sqlite:///{folder}/jobs.db") as store:
        await store.migrate()
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}  # noqa: ASYNC240


@pytest.mark.fault("security: descriptors that a coordinator has open")
async def test_a_job_finds_its_streams_and_its_pipe_and_a_program_only_its_streams(client: Client, daemon: Daemon) -> None:
    seen = await (await client.submit(work.ListDescriptors())).result(timeout="30s")

    beyond = [where for number, where in seen.own.items() if number > 2 and where != "/dev/null"]
    assert len(beyond) == 3, seen.own  # up, down, and the lifeline, which nobody writes to
    assert all(where.startswith("pipe:") for where in beyond)
    assert {number: where.partition(":")[0] for number, where in seen.program.items()} == {0: "/dev/null", 1: "pipe", 2: "pipe"}
