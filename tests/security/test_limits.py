"""Jobs that use more than `[workers]` allows fail with a cause that says so, and cost no other job anything."""

from __future__ import annotations

import pwd
from collections.abc import AsyncIterator, Iterator
from typing import Final

import psutil
import pytest

from heavyjobs import Client
from heavyjobs.model import Dead, Ending
from tests.lifecycle.asking import said
from tests.lifecycle.hosts import Daemon
from tests.security import work
from tests.security.conftest import ROOT, USER, WORK, database

BOUND: Final = pwd.getpwnam("daemon") if ROOT else USER
"""Somebody who runs nothing else, if we may choose: processes are counted for each user."""


@pytest.fixture(scope="module")
def bound(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database of a coordinator whose jobs have narrow limits."""
    url = database(tmp_path_factory.mktemp("database"))
    # Room for all that this user may start meanwhile beside the test: who is not root is bound with the rest of the suite.
    processes = _threads_of(BOUND.pw_uid) + 2000
    limits = {"user": BOUND.pw_name, "file_size": "1MiB", "open_files": 128, "processes": processes}
    with Daemon(tmp_path_factory.mktemp("daemon"), url, python=python, modules=(WORK,), workers=limits):
        yield url


@pytest.fixture
async def client(bound: str) -> AsyncIterator[Client]:
    async with Client.open(bound) as client:
        yield client


@pytest.mark.parametrize("program", [False, True], ids=["itself", "a program"])
@pytest.mark.fault("security: a job writes a larger file than it may")
async def test_a_job_that_writes_a_larger_file_than_it_may_fails_with_that_cause(client: Client, program: bool) -> None:
    small = await client.submit(work.Fill(size=1 << 19, program=program))
    large = await client.submit(work.Fill(size=1 << 21, program=program))

    await small.result(timeout="30s")
    match await large.wait(timeout="30s"):
        case Dead(cause=cause):
            assert cause.ending is Ending.RAISED
            assert "larger than" in cause.message or "File too large" in cause.message
        case outcome:
            pytest.fail(str(outcome))


@pytest.mark.fault("security: a job opens more files than it may")
async def test_a_job_that_opens_more_files_than_it_may_fails_with_that_cause(client: Client) -> None:
    opened = await client.submit(work.Open())

    match await opened.wait(timeout="30s"):
        case Dead(cause=cause):
            assert "Too many open files" in cause.message
        case outcome:
            pytest.fail(str(outcome))


@pytest.mark.fault("security: a job starts more processes than it may")
async def test_a_job_that_starts_as_many_processes_as_it_may_costs_no_other_job_its_worker(client: Client) -> None:
    breed = await client.submit(work.Breed(most=10_000))
    await said(breed, "no more: Resource temporarily unavailable")

    exited = await (await client.submit(work.Exit())).wait(timeout="30s")
    seen = await (await client.submit(work.Look())).result(timeout="30s")

    assert isinstance(exited, Dead)
    assert exited.cause.exit_code == 3
    assert seen.ids[0] == BOUND.pw_uid
    assert await breed.wait(timeout=0) is None
    await breed.cancel()


def _threads_of(user: int) -> int:
    found = [process.info for process in psutil.process_iter(["uids", "num_threads"]) if process.info["uids"]]
    return sum(info["num_threads"] for info in found if info["uids"].real == user)
