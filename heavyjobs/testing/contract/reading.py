"""Promises about reading: whole records, in order, page by page, with nothing left out."""

from __future__ import annotations

from uuid import UUID

from heavyjobs.model import Ending, JobState, Policy, new_id
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Brief, Filter
from heavyjobs.testing.contract.harness import (
    DEATH,
    HAND_BACK,
    Harness,
    chunk,
    claim_one,
    finish,
    new_job,
    news,
    record,
    running,
    submit,
)


class Reading(Harness):
    async def test_what_does_not_exist_is_none_or_left_out(self, store: Store) -> None:
        [job] = await submit(store)
        absent = new_id()

        assert await store.get(absent) is None
        assert set(await store.get_many([absent, job])) == {job}
        assert set(await store.briefs([absent, job])) == {job}
        assert await store.get_many([]) == {}
        assert await store.briefs([]) == {}
        assert list(await store.invocations(absent)) == []
        assert list(await store.logs(absent, claim=1, first=0)) == []
        assert list(await store.log_rows(absent, claim=1, first=0)) == []

    async def test_get_and_get_many_and_list_tell_the_same(self, store: Store) -> None:
        jobs = await submit(store, new_job(), new_job(delay_seconds=60, unique_key="k"))

        many = await store.get_many(jobs)

        assert [many[job] for job in jobs] == [await store.get(job) for job in jobs]
        assert {record.id: record for record in await store.list(Filter())} == many

    # -- list

    async def test_the_list_is_newest_first_and_its_pages_join_without_gap_or_overlap(self, store: Store) -> None:
        jobs = await submit(store, *(new_job() for _ in range(25)))
        pages: list[UUID] = []
        before: UUID | None = None

        while page := [record.id for record in await store.list(Filter(limit=7, before=before))]:
            pages += page
            before = page[-1]

        assert pages == sorted(jobs, reverse=True)

    async def test_the_list_keeps_to_states_kinds_queues_and_parent(self, store: Store, session: UUID) -> None:
        parent = new_id()
        claim = await running(store, session)
        plain, other, queued, child, later = await submit(
            store,
            new_job(),
            new_job(kind="demo.other"),
            new_job(policy=Policy(queue="media")),
            new_job(parent=parent, depth=1),
            new_job(delay_seconds=60),
        )

        async def listed(which: Filter) -> set[UUID]:
            return {record.id for record in await store.list(which)}

        assert await listed(Filter(states={JobState.RUNNING})) == {claim.job}
        assert await listed(Filter(states=[JobState.SCHEDULED, JobState.RUNNING])) == {claim.job, later}
        assert await listed(Filter(kinds=["demo.other", "demo.absent"])) == {other}
        assert await listed(Filter(queues=("media",))) == {queued}
        assert await listed(Filter(parent=parent)) == {child}
        assert await listed(Filter(parent=parent, states=[JobState.DEAD])) == set()
        assert await listed(Filter(states=[JobState.READY], kinds=["demo.work"], queues=["default"])) == {plain, child}
        assert await listed(Filter(limit=0)) == set()

    # -- find

    async def test_an_id_is_found_by_any_tail_of_it_however_it_is_written(self, store: Store) -> None:
        jobs = await submit(store, *(new_job() for _ in range(20)))
        job = jobs[3]

        for tail in (job.hex, str(job), job.hex[-12:], str(job)[-20:], job.hex[-16:].upper()):
            assert list(await store.find(tail)) == [job]

    async def test_an_ambiguous_tail_finds_the_newest_up_to_the_limit(self, store: Store) -> None:
        jobs = [UUID(int=(new_id().int >> 16 << 16) + 0xABCD) for _ in range(6)]
        await store.submit([new_job(job=job) for job in jobs])

        assert list(await store.find("abcd", limit=4)) == sorted(jobs, reverse=True)[:4]
        assert len(await store.find("abcd")) == 5

    async def test_a_tail_that_no_id_ends_in_finds_nothing(self, store: Store) -> None:
        await submit(store)

        for tail in ("xyz", "%", "_", "'", "0" * 40):
            assert list(await store.find(tail)) == []

    # -- briefs and invocations

    async def test_a_brief_follows_the_newest_claim(self, store: Store, session: UUID) -> None:
        first = await running(store, session)
        await record(store, session, progress=[news(first, status="1")], logs=[chunk(first, 0, "a", "b")])
        running_brief = (await store.briefs([first.job]))[first.job]
        await finish(store, session, first, HAND_BACK)
        second = (await claim_one(store, session)).claim
        new_brief = (await store.briefs([first.job]))[first.job]
        await finish(store, session, second)

        assert running_brief == Brief(first.job, JobState.RUNNING, 1, 1, 1, 2, running_brief.status)
        assert running_brief.status == "1"
        assert new_brief == Brief(first.job, JobState.RUNNING, 1, 2, 0, 0, None)
        assert (await store.briefs([first.job]))[first.job].state is JobState.SUCCEEDED

    async def test_a_job_that_was_never_claimed_has_an_empty_brief(self, store: Store) -> None:
        [job] = await submit(store)

        assert await store.briefs([job]) == {job: Brief(job, JobState.READY, 1, 0, 0, 0, None)}

    async def test_invocations_come_oldest_first(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        await finish(store, session, claim, DEATH)
        await store.retry(claim.job)
        await claim_one(store, session)

        first, second = await store.invocations(claim.job)

        assert (first.claim.number, first.epoch, first.ending) == (1, 1, Ending.RAISED)
        assert (second.claim.number, second.epoch, second.ending) == (2, 2, None)
        assert first.opened_at <= second.opened_at

    # -- logs

    async def test_a_log_is_read_from_the_chunk_that_holds_the_line_onwards(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        chunks = [chunk(claim, 3 * number, *(f"line {3 * number + step}" for step in range(3))) for number in range(10)]
        await record(store, session, logs=chunks)

        async def read(first: int, limit_chunks: int = 64) -> list[int]:
            found = await store.logs(claim.job, claim=claim.number, first=first, limit_chunks=limit_chunks)
            return [part.first // 3 for part in found]

        assert await read(0) == list(range(10))
        assert await read(4, 2) == [1, 2]
        assert await read(5, 1) == [1]
        assert await read(6, 3) == [2, 3, 4]
        assert await read(29) == [9]
        assert await read(30) == []
        assert await read(1000) == []
        assert list(await store.logs(claim.job, claim=claim.number + 1, first=0)) == []

    async def test_a_log_read_page_by_page_is_the_whole_log(self, store: Store, session: UUID) -> None:
        claim = await running(store, session)
        chunks = [chunk(claim, 2 * number, "a", "b") for number in range(30)]
        await record(store, session, logs=chunks)
        seen, first = list[int](), 0

        while page := await store.logs(claim.job, claim=claim.number, first=first, limit_chunks=4):
            seen += [part.first for part in page]
            first = page[-1].first + page[-1].lines

        assert seen == [part.first for part in chunks]

    async def test_the_rows_of_a_log_are_told_as_they_are_with_what_is_missing_between(
        self, store: Store, session: UUID
    ) -> None:
        claim = await running(store, session)
        chunks = [chunk(claim, 0, "a", "b"), chunk(claim, 2, "c"), chunk(claim, 7, "h", "i", "j")]
        await record(store, session, logs=chunks[::-1])

        async def read(first: int, limit_rows: int = 1000) -> list[tuple[int, int]]:
            return list(await store.log_rows(claim.job, claim=claim.number, first=first, limit_rows=limit_rows))

        assert await read(0) == [(0, 2), (2, 1), (7, 3)]
        assert await read(0, 2) == [(0, 2), (2, 1)]
        assert await read(1) == [(2, 1), (7, 3)]
        assert await read(3) == [(7, 3)]
        assert await read(8) == []
        assert list(await store.log_rows(claim.job, claim=claim.number + 1, first=0)) == []
