"""Promises about odd values: whatever passed the edge of `heavyjobs.values` comes back character by character."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from math import inf, nan
from typing import Final
from uuid import UUID

import pytest

from heavyjobs.errors import Unstorable
from heavyjobs.logs import decode_chunk
from heavyjobs.model import Cause, Ending, Policy, new_id
from heavyjobs.store.limits import KEY_MAX_BYTES, NAME_MAX_BYTES
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Changes, Filter, NewJob
from heavyjobs.testing.contract.harness import (
    DEATH,
    Harness,
    chunk,
    claim_one,
    end,
    invocation_of,
    job_of,
    new_job,
    news,
    record,
    register,
    running,
    submit,
    take,
    want,
)
from heavyjobs.values import PARAMETERS_MAX_BYTES, decode, encode

VALUES: Final[list[object]] = [
    None,
    "",
    {},
    [],
    {"": ""},
    "'; DROP TABLE jobs; --",
    '%s %(x)s :name ? {} \\ " \u2028',
    "Grüße, 世界, 🎬, \u202e, e\u0301, \x01\x1f\x7f\u0085\ufeff\uffff",
    [2**63 - 1, -(2**63), 2**64 - 1, 0.1, -0.0, 1e308, 5e-324],
    {"b": 1, "a": {"b": [[], {}, None, True]}},
    [[[[[[[[[[[[["deep"]]]]]]]]]]]]],
]
TEXTS: Final = ["", " ", "ü", "a'b\"c", "100%", "%s", "{}", ":x", "a\nb\tc", "🎬", "x" * 200]


def incompressible(size: int) -> str:
    """Text that no database can press into an entry of an index."""
    return "".join(random.Random(size).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=size))  # noqa: S311 - no secret


UNSTORABLE: Final = {
    "a unique key with NUL": new_job(unique_key="a\0b"),
    "a unique key of 9 kB": new_job(unique_key=incompressible(9000)),
    "a unique key that is not Unicode": new_job(unique_key="\ud800"),
    "a child's key with NUL": new_job(parent=new_id(), child_key="a\0b", depth=1),
    "a child's key of 9 kB": new_job(parent=new_id(), child_key=incompressible(9000), depth=1),
    "a child's key that is not Unicode": new_job(parent=new_id(), child_key="\udc80", depth=1),
    "a kind with NUL": new_job(kind="a\0b"),
    "a kind of 9 kB": new_job(kind=incompressible(9000)),
    "a queue with NUL": new_job(policy=Policy(queue="a\0b")),
    "a queue of 9 kB": new_job(policy=Policy(queue=incompressible(9000))),
    "memory past 64 bits": new_job(policy=Policy(memory_bytes=2**70)),
    "a priority past 32 bits": new_job(policy=Policy(priority=2**40)),
    "a priority far below": new_job(policy=Policy(priority=-(2**70))),
    "attempts past 32 bits": new_job(policy=Policy(attempts=2**31)),
    "a version past 32 bits": new_job(version=2**31),
    "a depth past 32 bits": new_job(depth=2**64),
    "no number of CPUs": new_job(policy=Policy(cpus=nan)),
    "a timeout without end": new_job(policy=Policy(timeout_seconds=inf)),
    "a grace without end": new_job(policy=Policy(grace_seconds=inf)),
    "a backoff that is no number": new_job(policy=Policy(backoff_seconds=nan)),
    "a longest backoff that is no number": new_job(policy=Policy(backoff_max_seconds=nan)),
    "a delay past the calendar": new_job(delay_seconds=1e300),
    "a delay that is no number": new_job(delay_seconds=nan),
}


class OddValues(Harness):
    @pytest.mark.parametrize("value", VALUES, ids=repr)
    async def test_odd_json_comes_back_as_it_was_everywhere(self, store: Store, session: UUID, value: object) -> None:
        text = encode(value, what="a value", max_bytes=PARAMETERS_MAX_BYTES)
        [answer] = await store.submit([new_job(parameters=text)])
        claimed = await claim_one(store, session)
        await store.checkpoint(session, claimed.claim, text)
        [held] = await store.held(session)
        await record(store, session, progress=[news(claimed.claim, status=text)])
        brief = (await store.briefs([answer.id]))[answer.id]
        await record(store, session, ends=[end(claimed.claim, result=text)])

        found = await job_of(store, answer.id)
        assert answer.parameters == claimed.parameters == held.checkpoint == brief.status == text
        assert found.parameters == found.result == text
        assert repr(decode(found.parameters)) == repr(value)

    async def test_a_typed_error_of_odd_json_comes_back(self, store: Store, session: UUID) -> None:
        for value in VALUES:
            text = encode(value, what="an error", max_bytes=PARAMETERS_MAX_BYTES)
            claim = await running(store, session)
            await record(store, session, ends=[end(claim, DEATH, Ending.FAILED, error=text)])

            assert (await job_of(store, claim.job)).error == text

    @pytest.mark.parametrize("text", TEXTS, ids=repr)
    async def test_odd_names_and_keys_come_back_and_tell_apart(self, store: Store, text: str) -> None:
        session, parent = await register(store, text), new_id()
        job = new_job(
            kind=text, policy=Policy(queue=text), unique_key=text, parent=parent, child_key=text, depth=1
        )  # fmt: skip
        await store.submit([job, new_job(kind=text + "x", unique_key=text + "x")])

        [again] = await store.submit([new_job(kind=text, unique_key=text)])
        [listed] = await store.list(Filter(kinds=[text], queues=[text]))
        [claimed] = await take(store, session, want(text, queue=text, line=text), host=text)

        assert (again.id, again.created) == (job.id, False)
        assert (listed.kind, listed.policy.queue, listed.unique_key, listed.child_key) == (text, text, text, text)
        assert (claimed.claim.job, claimed.kind) == (job.id, text)
        assert (await invocation_of(store, claimed.claim)).host == text
        assert [record.session.name for record in await store.coordinators()] == [text]

    @pytest.mark.parametrize("text", [*TEXTS, "long " * 20_000], ids=lambda text: repr(text[:20]))
    async def test_odd_causes_and_log_lines_come_back(self, store: Store, session: UUID, text: str) -> None:
        claim = await running(store, session)
        cause = Cause(Ending.RAISED, text, text, text, -1, 64)
        logs = chunk(claim, 0, text)

        await record(store, session, logs=[logs], ends=[end(claim, DEATH, cause=cause)])

        assert (await job_of(store, claim.job)).cause == cause
        assert (await invocation_of(store, claim)).cause == cause
        [stored] = await store.logs(claim.job, claim=claim.number, first=0)
        assert stored == logs
        assert [line.number for line in decode_chunk(1, 0, stored.data)] == list(range(logs.lines))

    async def test_parameters_and_result_of_the_largest_size_come_back(self, store: Store, session: UUID) -> None:
        text = encode("ü" * (PARAMETERS_MAX_BYTES // 2 - 1), what="parameters", max_bytes=PARAMETERS_MAX_BYTES)
        claim = await running(store, session, new_job(parameters=text))

        await record(store, session, ends=[end(claim, result=text)])

        found = await job_of(store, claim.job)
        assert found.parameters == found.result == text

    async def test_extreme_numbers_in_a_policy_come_back(self, store: Store) -> None:
        policy = Policy("q", -(2**31), 2**31 - 1, 0.1, 1e9, 1e-3, 0.0, 0.001, 2**63 - 1)
        [job] = await submit(store, new_job(policy=policy))

        assert (await job_of(store, job)).policy == policy
        changed = await store.update(job, Changes(priority=2**31 - 1))
        assert changed.policy.priority == 2**31 - 1

    @pytest.mark.parametrize("job", UNSTORABLE.values(), ids=UNSTORABLE)
    async def test_what_some_store_cannot_hold_is_refused_by_all_and_nothing_else_suffers(
        self, store: Store, session: UUID, job: NewJob
    ) -> None:
        for _ in range(2):
            with pytest.raises(Unstorable, match=r"a job of kind .*: its .*; "):
                await store.submit([new_job(), job])
        assert await store.list(Filter()) == []

        claim = await running(store, session)
        assert (await record(store, session, ends=[end(claim)])).ended

    async def test_names_and_keys_of_the_largest_size_are_stored_and_found(self, store: Store, session: UUID) -> None:
        name, key = incompressible(NAME_MAX_BYTES), incompressible(KEY_MAX_BYTES)
        job = new_job(kind=name, policy=Policy(queue=name), unique_key=key, parent=new_id(), child_key=key, depth=1)
        await store.submit([job])

        [again] = await store.submit([replace(job, id=new_id())])

        assert (again.id, again.created) == (job.id, False)
        assert [one.claim.job for one in await take(store, session, want(name, queue=name))] == [job.id]

    @pytest.mark.parametrize(
        "changes",
        [
            Changes(queue="a\0b"),
            Changes(queue=incompressible(9000)),
            Changes(priority=2**40),
            Changes(attempts=-(2**70)),
            Changes(memory_bytes=2**70),
            Changes(timeout_seconds=inf),
            Changes(cpus=nan),
            Changes(delay_seconds=1e300),
        ],
        ids=lambda changes: next(each.name for each in fields(changes) if getattr(changes, each.name) is not None),
    )
    async def test_a_change_to_what_some_store_cannot_hold_is_refused_and_changes_nothing(
        self, store: Store, changes: Changes
    ) -> None:
        [job] = await submit(store)
        before = await job_of(store, job)

        with pytest.raises(Unstorable, match=r"a job is to be changed: its .*; "):
            await store.update(job, changes)

        assert await job_of(store, job) == before
        assert (await store.update(job, Changes(priority=1))).policy.priority == 1

    @pytest.mark.parametrize("name", ["\ud800", "a\0b", incompressible(9000)], ids=["not Unicode", "NUL", "too long"])
    async def test_jobs_are_not_listed_by_a_name_that_none_can_have(self, store: Store, name: str) -> None:
        [job] = await submit(store)

        for which in (Filter(kinds=(name,)), Filter(queues=("default", name))):
            with pytest.raises(Unstorable, match=r"jobs are to be listed by .*: its text .*; "):
                await store.list(which)

        assert [record.id for record in await store.list(Filter())] == [job]
