"""What people do: names given twice, releases side by side, cancels that come too late, clients that go away."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg
import pytest

from heavyjobs import Client, WrongState
from heavyjobs.cli.exits import Exit
from heavyjobs.model import Cancelled, Ending, JobState, Succeeded
from tests.faults.ordeal import sound
from tests.lifecycle.asking import AnyHandle, endings, said, until
from tests.lifecycle.hosts import ROOT, Daemon, coordinating
from tests.lifecycle.test_parameters import stored
from tests.lifecycle.work import AsyncNap, Household, Nap, Note

OLD: Final = ["tests.faults.portraits_old"]
NEW: Final = ["tests.faults.portraits_new"]
ROUNDS: Final = 6
NAPS_SECONDS: Final = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Whatever time it takes here from a job's first word to a cancel, some of these are about as long."""

# -- coordinators


@pytest.mark.fault("people: two coordinators have one name")
async def test_two_coordinators_of_one_name_are_two(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "first", url, name="twin") as first, Daemon(tmp_path / "second", url, name="twin") as second:
        naps = await client.submit_many([Nap(until=tmp_path / "enough") for _ in range(4)])
        await asyncio.gather(*(said(nap, "napping") for nap in naps))
        (tmp_path / "enough").touch()
        notes = await client.submit_many([Note(path=tmp_path / "notes", text=f"note-{number}") for number in range(20)])
        handles: list[AnyHandle] = [*naps, *notes]
        for one in handles:
            await one.result(timeout=60)

        assert sorted((tmp_path / "notes").read_text().splitlines()) == sorted(f"note-{number} 1" for number in range(20))
        assert {len(await endings(client, one)) for one in handles} == {1}
        assert len(await client.drain("twin")) == 2
        assert [await first.ended(), await second.ended()] == [0, 0]
    await sound(url, handles)


@pytest.mark.fault("people: a drain is asked for twice")
async def test_a_drain_that_is_asked_for_twice_hurries_nobody(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "host", url, drain="60s", name="host-a") as daemon:
        nap = await client.submit(Nap(until=tmp_path / "enough"))
        await said(nap, "napping")

        await client.drain("host-a")
        await daemon.says("draining")
        await client.drain("host-a")
        daemon.signal(signal.SIGTERM)
        (tmp_path / "enough").touch()

        assert await nap.result(timeout=30) == "rested"
        assert await daemon.ended() == 0
    assert await endings(client, nap) == [Ending.SUCCEEDED]


# -- releases side by side


@pytest.mark.fault("people: the schema is newer than a coordinator, and still suits it")
async def test_a_coordinator_works_on_a_newer_schema_that_allows_it(client: Client, url: str, tmp_path: Path) -> None:
    with Daemon(tmp_path / "first", url) as first:
        await until(lambda: "session begins" in first.said)

        pretend_schema(url, version=99, min_compatible=1)

        await (await client.submit(Note(path=tmp_path / "notes", text="running"))).result(timeout=30)
    with Daemon(tmp_path / "second", url):
        await (await client.submit(Note(path=tmp_path / "notes", text="started"))).result(timeout=30)
    assert (tmp_path / "notes").read_text().splitlines() == ["running 1", "started 1"]


@pytest.mark.fault("people: the schema is newer than a coordinator, and does not suit it")
async def test_a_coordinator_refuses_a_newer_schema_that_it_would_damage(client: Client, url: str, tmp_path: Path) -> None:
    note = await client.submit(Note(path=tmp_path / "notes"))
    pretend_schema(url, version=99, min_compatible=99)

    with Daemon(tmp_path / "host", url) as daemon:
        assert await daemon.ended() == Exit.DATABASE

    assert "the schema has version 99, this release knows" in daemon.said
    assert "upgrade heavyjobs here" in daemon.said
    assert (await note.job()).claim == 0


@pytest.mark.fault("people: the schema is older than a coordinator")
async def test_a_coordinator_leaves_an_older_schema_of_a_fleet_alone_and_says_what_to_do(
    empty_postgres_url: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "host", empty_postgres_url) as daemon:
        assert await daemon.ended() == Exit.DATABASE

    assert "run heavyjobs migrate" in daemon.said
    with psycopg.connect(empty_postgres_url) as connection:
        assert connection.execute("SELECT to_regnamespace('heavyjobs')").fetchone() == (None,)


@pytest.mark.fault("people: a rolling upgrade in which a job's fields changed")
async def test_in_a_rolling_upgrade_each_release_runs_what_it_understands_and_nothing_is_lost(
    client: Client, url: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path / "old", url, modules=OLD, name="old") as old:
        by_old = [await stored(client, "tests.portrait", '{"sitter":"Ada","colour":"blue"}') for _ in range(3)]
        by_new = [await stored(client, "tests.portrait", '{"name":"Bob","frame":"oak"}', version=2) for _ in range(3)]
        assert {await one.result(timeout=30) for one in by_old} == {"old: Ada in blue"}
        assert {(await one.job()).claim for one in by_new} == {0}, "what it does not understand, it leaves alone"

        with Daemon(tmp_path / "new", url, modules=NEW, name="new"):
            assert {await one.result(timeout=30) for one in by_new} == {"new: Bob, frame oak"}
            between = [await stored(client, "tests.portrait", '{"sitter":"Cyd"}') for _ in range(10)]
            results = {await one.result(timeout=30) for one in between}
            await client.drain("old")
            assert await old.ended() == 0
            left = [await stored(client, "tests.portrait", '{"sitter":"Dan","colour":"blue"}') for _ in range(3)]

            assert results <= {"old: Cyd in red", "new: Cyd, frame none"}
            assert {await one.result(timeout=30) for one in left} == {"new: Dan, frame none"}
    handles = [*by_old, *by_new, *between, *left]
    assert {len(await endings(client, one)) for one in handles} == {1}
    await sound(url, handles)


# -- clients


@pytest.mark.fault("people: a cancel races with the end of its job")
async def test_a_cancel_that_races_with_the_end_has_one_outcome_whoever_asks(client: Client, url: str) -> None:
    handles: list[AnyHandle] = []
    outcomes: set[type] = set()
    chance = random.Random(1)  # noqa: S311 - the same again each time
    async with coordinating(url, slots=2), asyncio.timeout(100):
        for _ in range(ROUNDS):
            seconds = [long * chance.uniform(0.5, 1.5) for long in NAPS_SECONDS]
            naps: list[AnyHandle] = [
                *await client.submit_many([AsyncNap(seconds=long) for long in seconds]),
                *await client.submit_many([Nap(seconds=long) for long in seconds[::3]]),
            ]
            handles += naps
            answers = await asyncio.gather(*(cancelled_on_the_way(nap) for nap in naps))

            for nap, answer in zip(naps, answers, strict=True):
                job = await nap.job()
                [ending] = await endings(client, nap)
                assert answer == await nap.outcome() == await nap.cancel()
                assert (job.state, ending) in {
                    (JobState.SUCCEEDED, Ending.SUCCEEDED),
                    (JobState.CANCELLED, Ending.CANCELLED),
                }
                assert isinstance(answer, Succeeded) == (job.state is JobState.SUCCEEDED) == (job.result is not None)
                outcomes.add(type(answer))

    assert outcomes == {Succeeded, Cancelled}, "both must have won now and then, or there was no race"
    await sound(url, handles)


async def cancelled_on_the_way(nap: AnyHandle) -> object:
    await said(nap, "napping")
    return await nap.cancel()


@pytest.mark.fault("people: a running job is sent again")
async def test_a_running_job_cannot_be_sent_again(client: Client, url: str, tmp_path: Path) -> None:
    async with coordinating(url):
        nap = await client.submit(Nap(until=tmp_path / "enough"))
        await said(nap, "napping")
        before = await nap.job()

        with pytest.raises(WrongState, match="running"):
            await nap.retry()

        assert await nap.job() == before
        (tmp_path / "enough").touch()
        assert await nap.result(timeout=30) == "rested"
        with pytest.raises(WrongState, match="succeeded"):
            await nap.retry()
        assert await endings(client, nap) == [Ending.SUCCEEDED]


_AWAITING: Final = """
import asyncio, sys
from heavyjobs import Client
from tests.lifecycle.work import Nap

async def main():
    async with Client.open(sys.argv[1]) as client:
        handle = await client.submit(Nap(until=sys.argv[2]))
        print(handle.id, flush=True)
        await handle.result()

asyncio.run(main())
"""


@pytest.mark.fault("people: a client is killed while it awaits a job")
async def test_a_client_that_is_killed_while_it_awaits_leaves_its_job_alone(client: Client, url: str, tmp_path: Path) -> None:
    async with coordinating(url):
        command = [sys.executable, "-c", _AWAITING, url, str(tmp_path / "enough")]
        other = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        assert other.stdout is not None
        nap = client.handle((await other.stdout.readline()).decode().strip(), Nap)
        await said(nap, "napping")

        other.kill()
        assert await other.wait() == -signal.SIGKILL

        (tmp_path / "enough").touch()
        assert await nap.result(timeout=30) == "rested"
        assert await endings(client, nap) == [Ending.SUCCEEDED]


@pytest.mark.fault("people: a parent is cancelled with running, queued and finished children")
async def test_a_cancelled_parent_takes_along_what_has_not_ended_and_leaves_what_has(client: Client, url: str) -> None:
    async with coordinating(url), asyncio.timeout(60):
        parent = await client.submit(Household())
        await until(lambda: has_children(client, parent, 3))
        children = {job.kind: client.handle(job.id) for job in await client.list(parent=parent.id)}
        await said(children["tests.nap"], "napping")

        assert await parent.cancel() == Cancelled()

        assert await children["tests.nap"].wait() == Cancelled()
        states = {kind: (await child.job()).state for kind, child in children.items()}
        assert states == {
            "tests.square": JobState.SUCCEEDED,
            "tests.nap": JobState.CANCELLED,
            "tests.unserved": JobState.CANCELLED,
        }
        assert await endings(client, children["tests.nap"]) == [Ending.CANCELLED]
        assert await endings(client, children["tests.unserved"]) == []
    await sound(url, [parent, *children.values()])


async def has_children(client: Client, parent: AnyHandle, count: int) -> bool:
    return len(await client.list(parent=parent.id)) == count


def pretend_schema(url: str, *, version: int, min_compatible: int) -> None:
    """Make the database say that a later release has migrated it."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as database, database:
            database.execute("INSERT INTO heavyjobs_schema_version VALUES (?, ?, 0)", (version, min_compatible))
    else:
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO heavyjobs.schema_version (version, min_compatible) VALUES (%s, %s)", (version, min_compatible)
            )
