"""What the hot statements cost does not grow with the history or the line, whatever PostgreSQL believes of them.

It believes what it saw when it last looked: nothing at all, a line as long as it is, or a line that was empty just then. And a
connection keeps the plans that it has made, were it before the first job.
"""

from __future__ import annotations

import pytest

from heavyjobs.model import new_id
from heavyjobs.store.postgres import claiming, reading, recording, sessions, submitting
from heavyjobs.store.postgres.talking import Talk
from heavyjobs.testing.contract.harness import chunk, end, new_job, news, want
from tests.store.plans import TAKEN, Explain, Scene


async def test_a_claim_looks_at_what_it_takes_however_many_jobs_there_are(scene: Scene, explain: Explain) -> None:
    plan = await explain(
        "claim",
        lambda talk: claiming.claim(talk, scene.session, [want(room=TAKEN)], cpus=1e6, memory_bytes=1 << 50, host="host-a"),
    )

    assert "jobs_ready" in plan.indexes
    assert plan.walked <= 4 * TAKEN
    assert plan.buffers <= 100 * TAKEN


async def test_a_claim_of_an_unknown_kind_walks_nothing(scene: Scene, explain: Explain) -> None:
    plan = await explain(
        "claim",
        lambda talk: claiming.claim(
            talk, scene.session, [want("demo.unknown", room=TAKEN)], cpus=1e6, memory_bytes=1 << 50, host="host-a"
        ),
    )

    assert plan.walked <= 1
    assert plan.buffers <= 30


async def test_a_claim_that_fits_nothing_looks_at_a_bounded_number_of_jobs(scene: Scene, explain: Explain) -> None:
    plan = await explain(
        "claim",
        lambda talk: claiming.claim(
            talk, scene.session, [want("demo.other", room=TAKEN)], cpus=0.5, memory_bytes=1 << 50, host="host-a"
        ),
    )

    assert plan.walked <= claiming.LOOK_ROWS + 10


@pytest.mark.parametrize(
    ("statement", "index"),
    [("end_invocation", "jobs_pkey"), ("progress", "invocations_pkey"), ("append_logs", "invocations_pkey")],
)
async def test_recording_finds_each_invocation_by_its_key(scene: Scene, explain: Explain, statement: str, index: str) -> None:
    claims = [one.claim for one in scene.held]

    plan = await explain(
        statement,
        lambda talk: recording.record(
            talk,
            scene.session,
            progress=[news(claim, status="1") for claim in claims[: TAKEN // 2]],
            logs=[chunk(claim, 0, "line") for claim in claims],
            ends=[end(claim) for claim in claims[TAKEN // 2 :]],
        ),
    )

    assert index in plan.indexes
    assert "invocations_session" not in plan.indexes
    assert plan.walked <= 5 * TAKEN


@pytest.mark.parametrize("statement", ["lost_claims", "cancels", "tick", "other_sessions"])
async def test_a_tick_walks_what_is_held(scene: Scene, explain: Explain, statement: str) -> None:
    plan = await explain(statement, lambda talk: sessions.tick(talk, scene.session, [one.claim for one in scene.held]))

    assert plan.walked <= 2 * TAKEN


async def test_looking_for_due_jobs_walks_none_that_are_not_due(scene: Scene, explain: Explain) -> None:
    async def work(talk: Talk) -> None:
        # One is due at once, or none would be asked for.
        await submitting.submit_within(talk, [new_job(delay_seconds=seconds) for seconds in (1e-6, *[3600] * 100)])
        await claiming.promote(talk, limit=100)

    promote, next_due = await explain("promote", work), await explain("next_due", work)

    assert "jobs_due" in promote.indexes & next_due.indexes
    assert promote.walked == 0
    assert next_due.walked <= 1


async def test_submitting_with_keys_walks_no_history(scene: Scene, explain: Explain) -> None:
    jobs = [new_job(unique_key=f"k{number}", parent=new_id(), child_key="c", depth=1) for number in range(TAKEN)]

    plan = await explain("submit", lambda talk: submitting.submit_within(talk, jobs))

    assert {"jobs_pkey", "jobs_live_key", "jobs_child"} <= plan.indexes
    assert plan.walked <= 3 * TAKEN


@pytest.mark.parametrize("statement", ["parent_held", "send_again", "note_spawn", "submit"])
async def test_spawning_finds_parent_and_children_by_key(scene: Scene, explain: Explain, statement: str) -> None:
    parent = scene.held[0].claim
    children = [new_job(parent=parent.job, child_key=f"c{number}", depth=1) for number in range(TAKEN)]

    async def work(talk: Talk) -> None:
        await submitting.submit_within(talk, children[: TAKEN // 2])
        await submitting.spawn(talk, scene.session, parent, children)

    plan = await explain(statement, work)

    assert plan.indexes & {"jobs_pkey", "jobs_child"}
    assert plan.walked <= 3 * TAKEN


async def test_briefs_and_logs_are_found_by_key(scene: Scene, explain: Explain) -> None:
    ids = [one.claim.job for one in scene.held]

    briefs = await explain("briefs", lambda talk: reading.briefs(talk, ids))
    logs = await explain("logs", lambda talk: reading.logs(talk, ids[0], claim=1, first=0, limit_chunks=10))
    rows = await explain("log_rows", lambda talk: reading.log_rows(talk, ids[0], claim=1, first=0, limit_rows=10))

    assert briefs.walked <= 2 * TAKEN
    assert logs.indexes == {"logs_pkey"}
    assert logs.walked <= 10
    assert rows.indexes == {"logs_pkey"}
    assert rows.walked <= 10
