"""What is asked less often than the hot statements walks what it names too, and no history.

But for this, by design: `held`, `open_invocations` and `end_session` walk all that the one session ever held, `find` all
ids, and `list` those jobs that its filter passes over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from heavyjobs.model import ClaimKey, new_id
from heavyjobs.store.postgres import changing, claiming, reading, recording, sessions, submitting
from heavyjobs.store.records import Changes, Filter, NewJob
from heavyjobs.testing.contract.harness import DEATH, end, new_job, register, submit, take, want
from tests.store.plans import TAKEN, Explain, Scene


@dataclass(frozen=True, slots=True)
class Family:
    """A running job, and its children."""

    parent: ClaimKey
    children: list[NewJob]

    @property
    def ids(self) -> list[UUID]:
        return [child.id for child in self.children]


@pytest.fixture
async def family(scene: Scene) -> Family:
    parent = scene.held[0].claim
    children = [new_job(parent=parent.job, child_key=f"c{n}", unique_key=f"{new_id()}", depth=1) for n in range(TAKEN)]
    await submit(scene.store, *children)
    return Family(parent, children)


@pytest.fixture
async def silent(scene: Scene) -> AsyncIterator[UUID]:
    """A session without a past that holds some jobs."""
    session = await register(scene.store)
    held = await take(scene.store, session, want(room=TAKEN))
    yield session
    await scene.store.record(session, progress=[], logs=[], ends=[end(one.claim) for one in held])


async def test_due_jobs_are_promoted_by_key(scene: Scene, explain: Explain) -> None:
    await submit(scene.store, *(new_job(delay_seconds=1e-6) for _ in range(TAKEN)))

    plan = await explain("promote", lambda talk: claiming.promote(talk, limit=1000))
    await scene.store.promote(limit=1000)

    assert TAKEN <= plan.walked <= 2 * TAKEN


async def test_a_cancel_walks_the_family(family: Family, explain: Explain) -> None:
    plan = await explain("cancel", lambda talk: changing.cancel(talk, [family.parent.job], grace_seconds=None))

    assert TAKEN < plan.walked <= 6 * TAKEN


async def test_a_death_walks_the_family(scene: Scene, family: Family, explain: Explain) -> None:
    plan = await explain(
        "cancel",
        lambda talk: recording.record(talk, scene.session, progress=[], logs=[], ends=[end(family.parent, DEATH)]),
    )

    assert TAKEN <= plan.walked <= 6 * TAKEN


async def test_cancelling_one_child_walks_none_of_its_siblings(scene: Scene, family: Family, explain: Explain) -> None:
    plan = await explain(
        "children_held", lambda talk: changing.cancel_children(talk, scene.session, family.parent, family.ids[:1])
    )

    assert plan.walked <= 2


@pytest.mark.parametrize(
    ("statement", "most"), [("send_again", TAKEN * (TAKEN + 2)), ("note_spawn", TAKEN), ("submit", 3 * TAKEN)]
)
async def test_children_that_fell_are_sent_again_by_key(
    scene: Scene, family: Family, explain: Explain, statement: str, most: int
) -> None:
    """Each that is sent again is held against its siblings, one of which may have the same unique key."""
    await scene.store.cancel(family.ids)

    plan = await explain(statement, lambda talk: submitting.spawn(talk, scene.session, family.parent, family.children))

    assert TAKEN <= plan.walked <= most


async def test_a_job_is_changed_and_sent_again_by_key(scene: Scene, family: Family, explain: Explain) -> None:
    fallen, waiting, *_ = family.ids
    await scene.store.cancel([fallen])

    retry = await explain("retry", lambda talk: changing.retry(talk, fallen, fresh=False))
    update = await explain("update_job", lambda talk: changing.update(talk, waiting, Changes(priority=1)))

    assert retry.walked == update.walked == 1


@pytest.mark.parametrize("statement", ["session_unfenced", "fence", "open_invocations", "end_invocation"])
async def test_a_forfeit_walks_what_the_session_held(scene: Scene, silent: UUID, explain: Explain, statement: str) -> None:
    plan = await explain(statement, lambda talk: sessions.forfeit(talk, scene.session, session=silent, tick=0, jitter=0.5))

    assert 1 <= plan.walked <= 2 * TAKEN


async def test_what_a_session_holds_is_found_by_the_session(silent: UUID, explain: Explain) -> None:
    held = await explain("held", lambda talk: claiming.held(talk, silent))
    ending = await explain("end_session", lambda talk: sessions.end_session(talk, silent))

    assert held.walked == 2 * TAKEN
    assert ending.walked <= 1 + TAKEN


async def test_ends_that_were_written_before_are_read_back_by_key(scene: Scene, explain: Explain) -> None:
    ends = [end(one.claim) for one in scene.held]
    await scene.store.record(scene.session, progress=[], logs=[], ends=ends)

    plan = await explain("read_back", lambda talk: recording.record(talk, scene.session, progress=[], logs=[], ends=ends))

    assert plan.walked == 2 * TAKEN


async def test_a_claim_is_looked_at_by_key(scene: Scene, explain: Explain) -> None:
    claim = scene.held[0].claim

    holds = await explain("holds", lambda talk: claiming.holds(talk, scene.session, claim))
    runs = await explain("invocations", lambda talk: reading.invocations(talk, claim.job))

    assert holds.walked == runs.walked == 1


async def test_pages_of_jobs_walk_what_they_show(scene: Scene, family: Family, explain: Explain) -> None:
    page = await explain("list", lambda talk: reading.list_jobs(talk, Filter(limit=TAKEN)))
    named = await explain("jobs", lambda talk: reading.get_many(talk, family.ids))

    assert page.walked == named.walked == TAKEN


@pytest.mark.parametrize("of", [0, -1], ids=["a parent", "a childless job"])
async def test_pages_of_children_walk_no_others(scene: Scene, family: Family, explain: Explain, of: int) -> None:
    parent = scene.held[of].claim.job

    plan = await explain("list_children", lambda talk: reading.list_jobs(talk, Filter(parent=parent, limit=TAKEN)))

    assert plan.walked == (TAKEN if parent == family.parent.job else 0)
