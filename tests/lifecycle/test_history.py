"""What real coordinators leave behind is a sound history, on every store, read in pages and while they are at work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from heavyjobs import Client
from heavyjobs.history import Rule
from heavyjobs.model import new_id
from heavyjobs.store import open_store
from heavyjobs.store.histories import FINDINGS_MAX, PAGE_JOBS, Report, examine_store
from heavyjobs.testing.contract.harness import new_job
from tests.lifecycle.asking import AnyHandle, until
from tests.lifecycle.hosts import coordinating
from tests.lifecycle.work import AsyncFamily, Chatty, Count, Family, Flaky, MixedFamily, Nap, Refuse


async def many_kinds(client: Client, folder: Path) -> Sequence[AnyHandle]:
    """Jobs that end in every way; the last is to be cancelled."""
    return [
        await client.submit(Chatty(lines=3000)),
        await client.submit(Count()),
        await client.submit(Flaky(good_from=3)),
        await client.submit(Flaky(good_from=2, how="exit")),
        await client.submit(Refuse(retry=False)),
        await client.submit(Family(numbers=[1, 2], dies=True)),
        await client.submit(AsyncFamily(numbers=[3, 4])),
        await client.submit(MixedFamily(gather=True)),
        await client.submit(Nap(until=folder / "never")),
    ]


async def test_jobs_that_end_in_every_way_leave_a_sound_history(client: Client, url: str, tmp_path: Path) -> None:
    async with coordinating(url), asyncio.timeout(60):
        handles = await many_kinds(client, tmp_path)
        await handles[-1].cancel()
        for handle in handles:
            await handle.wait()
        died = handles[4]
        await died.retry()
        await died.wait()
        await until(lambda: all_ended(client))

    async with open_store(url) as store:
        report = await examine_store(store, accepted=[handle.id for handle in handles], settled=True)

    assert_sound(report)
    assert report.invocations > report.jobs
    assert report.jobs == len(handles) + 6
    assert report.lines > 3000


async def test_a_history_that_is_read_while_it_is_made_is_not_taken_for_a_bad_one(
    client: Client, url: str, tmp_path: Path
) -> None:
    async with coordinating(url, slots=3), open_store(url) as store, asyncio.timeout(90):
        for _ in range(3):
            handles = await many_kinds(client, tmp_path)
            *working_ones, nap = handles
            working = asyncio.gather(*(handle.wait() for handle in working_ones))
            while not working.done():
                assert_sound(await examine_store(store, accepted=[handle.id for handle in handles]))
            await working
            await nap.cancel()


async def test_more_jobs_than_a_page_has_are_all_read_and_those_that_are_missing_are_found(url: str) -> None:
    jobs = [new_job() for _ in range(2 * PAGE_JOBS + 1)]
    async with open_store(url) as store:
        await store.submit(jobs)

        report = await examine_store(store, accepted=[*(job.id for job in jobs), new_id()])

    assert report.jobs == len(jobs)
    assert [finding.rule for finding in report.findings] == [Rule.ACCEPTED]


async def test_of_very_many_findings_the_first_are_kept_and_all_are_counted(url: str) -> None:
    async with open_store(url) as store:
        report = await examine_store(store, accepted=[new_id() for _ in range(FINDINGS_MAX + 5)])

    assert report.found == FINDINGS_MAX + 5
    assert len(report.findings) == FINDINGS_MAX


async def all_ended(client: Client) -> bool:
    return all(job.state.ended for job in await client.list(limit=100))


def assert_sound(report: Report) -> None:
    assert not report.found, "\n".join(map(str, report.findings))
