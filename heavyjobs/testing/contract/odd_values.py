"""Promises about odd values: whatever passed the edge of `heavyjobs.values` comes back character by character."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import pytest

from heavyjobs.logs import decode_chunk
from heavyjobs.model import Cause, Ending, Policy, new_id
from heavyjobs.store.protocol import Changes, Filter, Store
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
