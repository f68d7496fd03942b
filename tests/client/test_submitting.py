"""What is submitted is stored once, as it was meant, or refused with a reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from heavyjobs import (
    AmbiguousId,
    Client,
    InvalidParameters,
    Job,
    JobConfig,
    JobDefinitionError,
    JobNotFound,
    JobState,
    SchemaMismatch,
    StoreOptions,
    StoreUnavailable,
    Unstorable,
    UsageError,
    WrongState,
)
from heavyjobs.model import short_id
from heavyjobs.store.records import CancelAnswer, NewJob, Submitted
from heavyjobs.store.sqlite import SqliteStore
from heavyjobs.values import decode
from tests.client.player import Bake, Baked, Player, Toast


async def test_a_submitted_job_is_ready_with_its_parameters_and_policy(client: Client) -> None:
    handle = await client.submit(Bake(flour=7))

    job = await client.get(handle.id)

    assert handle.created
    assert handle.kind == job.kind == "tests.bake"
    assert job.state is JobState.READY
    assert decode(job.parameters) == {"flour": 7}
    assert job.policy == Bake(flour=7).policy()


async def test_a_unique_key_names_one_live_job_and_is_free_once_that_ended(client: Client, player: Player) -> None:
    first = await client.submit(Bake(), unique="bread:42")

    again = await client.submit(Bake(flour=9), unique="bread:42")

    assert again.id == first.id
    assert not again.created
    await player.succeed(await player.claim())
    assert await again.result(timeout=10) == Baked(loaves=3)
    assert (await client.submit(Bake(), unique="bread:42")).id != first.id


async def test_a_delayed_job_is_scheduled(client: Client) -> None:
    handle = await client.submit(Bake(), delay=timedelta(hours=1))

    job = await handle.job()

    assert job.state is JobState.SCHEDULED
    assert job.due_at is not None
    assert timedelta(minutes=59) < job.due_at - job.created_at < timedelta(minutes=61)


async def test_many_jobs_are_stored_in_the_order_of_their_handles(client: Client) -> None:
    handles = await client.submit_many([Bake(flour=n) for n in range(50)])

    assert [decode((await handle.job()).parameters)["flour"] for handle in handles] == list(range(50))
    assert await client.submit_many([]) == []


async def test_jobs_of_different_classes_can_be_submitted_together(client: Client, player: Player) -> None:
    bake, toast = await client.submit_many([Bake(), Toast()])

    assert (bake.kind, toast.kind) == ("tests.bake", "tests.toast")
    await player.succeed(await player.claim())
    assert await bake.result(timeout=10) == Baked(loaves=3)


async def test_a_job_of_a_known_kind_is_validated_and_configured_by_its_class(client: Client) -> None:
    handle = await client.submit_kind("tests.bake", {"flour": 3})

    assert (await handle.job()).policy == Bake().policy()
    with pytest.raises(InvalidParameters, match="flower: no such field; did you mean flour"):
        await client.submit_kind("tests.bake", {"flower": 3})


async def test_a_job_of_an_unknown_kind_is_stored_as_it_is_and_read_as_plain_data(client: Client) -> None:
    config = JobConfig(queue="film", attempts=7)

    handle = await client.submit_kind("film.make", {"title": "M"}, version=3, config=config)

    job = await handle.job()
    assert (job.kind, job.version, decode(job.parameters)) == ("film.make", 3, {"title": "M"})
    assert (job.policy.queue, job.policy.attempts) == ("film", 7)


async def test_parameters_newer_than_the_class_known_here_are_left_to_those_who_know(client: Client) -> None:
    handle = await client.submit_kind("tests.bake", {"flour": 1, "salt": True}, version=2)

    assert (await handle.job()).version == 2


async def test_what_cannot_be_stored_is_refused_before_anything_is(client: Client) -> None:
    class Base(Job[None]):
        pass

    with pytest.raises(JobDefinitionError, match="a class without a kind"):
        await client.submit(Base())
    with pytest.raises(Unstorable, match="NUL"):
        await client.submit_kind("film.make", {"title": "a\0b"})
    with pytest.raises(Unstorable, match="is not a kind"):
        await client.submit_kind("", {})
    with pytest.raises(Unstorable, match="the unique key"):
        await client.submit(Bake(), unique="x" * 1000)
    with pytest.raises(Unstorable, match="the unique key is empty"):
        await client.submit(Bake(), unique="")
    with pytest.raises(Unstorable, match="the unique key is 42; use a text"):
        await client.submit(Bake(), unique=42)  # type: ignore[arg-type]  # the point
    with pytest.raises(UsageError, match="delay: 'soon' is not a duration; write it like"):
        await client.submit(Bake(), delay="soon")

    assert await client.list() == []


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("tests.bake", "for a kind by name, use submit_kind('tests.bake', {…})"),
        (Bake, "make one of the class: Bake(…)"),
        ({"flour": 1}, "dict is none"),
    ],
)
async def test_what_is_no_job_is_refused_with_what_would_do(client: Client, wrong: Any, advice: str) -> None:
    with pytest.raises(UsageError) as raised:
        await client.submit(wrong)

    assert str(raised.value) == f"submit takes a job, an instance of its class; {advice}"


async def test_a_client_that_is_not_entered_says_how_to_enter_it(url: str) -> None:
    client: Any = Client.open(url)

    with pytest.raises(UsageError, match=r"submit: the client is not open yet; write async with Client\.open"):
        await client.submit(Bake())
    with pytest.raises(UsageError, match="the client is not open yet"):
        await client
    assert not hasattr(client, "__len__")


@pytest.mark.parametrize("wrong", ["soon", -1, float("nan"), [5], True])
async def test_a_wrong_duration_is_refused_whatever_it_is_for(client: Client, wrong: Any) -> None:
    handle = await client.submit(Bake())
    asks: dict[str, Callable[[], Awaitable[object]]] = {
        "timeout": lambda: handle.wait(timeout=wrong),
        "delay": lambda: handle.update(delay=wrong),
        "idle": lambda: anext(handle.watch(idle=wrong)),
        "grace": lambda: client.cancel(handle.id, grace=wrong),
    }

    for name, ask in asks.items():
        with pytest.raises(UsageError, match=rf"{name}: .* is not a duration"):
            await ask()
    with pytest.raises(UsageError, match=r"timeout: .* is not a duration"):
        await handle.result(timeout=wrong)
    with pytest.raises(UsageError, match=r"grace: .* is not a duration"):
        await handle.cancel(grace=wrong)
    assert (await handle.job()).state is JobState.READY


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        ({"prio": 3}, "update: prio is nothing that changes; did you mean priority?"),
        (
            {"backoff": "1s"},
            "update: backoff is nothing that changes; use queue, priority, attempts, timeout, memory, cpus, delay",
        ),
        ({"timeout": None}, "update: timeout=None changes nothing; leave it out to keep what it is"),
        ({"priority": "high"}, "priority='high': a whole number from -32768 to 32767 would do"),
        ({"memory": "much"}, "memory: 'much' is not a size; write it like 500MB, 2GiB or 4096"),
    ],
)
async def test_a_change_that_cannot_be_is_refused_with_what_would_do(
    client: Client, wanted: dict[str, Any], refusal: str
) -> None:
    handle = await client.submit(Bake())

    with pytest.raises(UsageError) as raised:
        await handle.update(**wanted)

    assert str(raised.value) == refusal
    assert (await handle.job()).policy == Bake().policy()


async def test_a_job_is_found_by_the_end_of_its_id_and_by_its_short_form(client: Client) -> None:
    handle = await client.submit(Bake())

    assert await client.find(handle.id.hex[-12:]) == handle.id
    assert await client.find(str(handle.id).upper()) == handle.id
    assert await client.find(short_id(handle.id)) == handle.id
    with pytest.raises(JobNotFound, match="no job's id ends in"):
        await client.find("0" * 30)
    with pytest.raises(JobNotFound, match="not the end of a job's id"):
        await client.find("xyz")


async def test_an_end_that_several_ids_share_is_ambiguous(client: Client) -> None:
    handles = await client.submit_many([Bake() for _ in range(17)])
    last = [handle.id.hex[-1] for handle in handles]
    shared = next(digit for digit in last if last.count(digit) > 1)

    with pytest.raises(AmbiguousId, match="give more digits") as raised:
        await client.find(shared)

    assert sum(str(handle.id) in str(raised.value) for handle in handles) >= 2


async def test_jobs_are_listed_newest_first_in_pages(client: Client) -> None:
    handles = await client.submit_many([Bake() for _ in range(5)])
    newest_first = sorted((handle.id for handle in handles), reverse=True)

    page = [job.id for job in await client.list(kinds=["tests.bake"], limit=3)]
    rest = [job.id for job in await client.list(states=[JobState.READY], before=page[-1])]

    assert page + rest == newest_first


async def test_a_dead_job_is_sent_again_and_a_waiting_one_is_changed(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    await player.fail(await player.claim())

    job = await handle.retry()
    assert (job.state, job.epoch) == (JobState.READY, 2)
    with pytest.raises(WrongState):
        await handle.retry()
    changed = await handle.update(priority=5, timeout="1h", delay="10m")

    assert (changed.policy.priority, changed.policy.timeout_seconds, changed.state) == (5, 3600, JobState.SCHEDULED)
    assert changed.policy.attempts == job.policy.attempts
    assert (await client.update(handle.id, delay=0, memory="1GiB")).policy.memory_bytes == 1 << 30
    with pytest.raises(UsageError, match="nothing to change; give at least one of queue"):
        await handle.update()
    with pytest.raises(UsageError, match="1 to 1000 would do"):
        await handle.update(attempts=0)


async def test_many_jobs_are_cancelled_at_once(client: Client, player: Player) -> None:
    running, waiting = await client.submit(Bake()), await client.submit(Bake(), delay=60)
    await player.claim()

    answers = await client.cancel(running.id, waiting.id)

    assert answers == {running.id: CancelAnswer.REQUESTED, waiting.id: CancelAnswer.CANCELLED}


async def test_coordinators_are_shown_and_drained_by_name(client: Client, player: Player) -> None:
    await client.submit(Bake())
    await player.claim()

    (asked,) = await client.drain("oven")

    assert asked.running == 1
    assert (await client.coordinators())[0].drain_requested_at is not None
    with pytest.raises(UsageError, match="no live coordinator is called 'stove'; live: oven"):
        await client.drain("stove")


async def test_invocations_are_listed_oldest_first(client: Client, player: Player) -> None:
    handle = await client.submit(Bake())
    await player.crash(await player.claim(), again=True)
    await player.succeed(await player.claim())

    assert [one.claim.number for one in await client.invocations(handle.id)] == [1, 2]
    with pytest.raises(JobNotFound):
        await client.invocations("0" * 32)


class _Flaky(SqliteStore):
    """Loses its first answers after it has done what it was asked."""

    losses = 2

    async def submit(self, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        answer = await super().submit(jobs)
        if self.losses:
            self.losses -= 1
            raise StoreUnavailable("the answer was lost")
        return answer


async def test_a_submit_whose_answer_was_lost_is_repeated_and_stores_one_job(tmp_path: Path) -> None:
    async with _Flaky(f"sqlite:///{tmp_path}/jobs.db", StoreOptions()) as store, Client(store) as client:
        await store.migrate()

        handle = await client.submit(Bake())

        assert handle.created
        assert [job.id for job in await client.list()] == [handle.id]


async def test_a_submit_gives_up_after_some_tries(tmp_path: Path) -> None:
    async with _Flaky(f"sqlite:///{tmp_path}/jobs.db", StoreOptions()) as store, Client(store) as client:
        await store.migrate()
        store.losses = 1000

        with pytest.raises(StoreUnavailable, match="the answer was lost"):
            await client.submit(Bake())

        assert store.losses == 995


async def test_postgres_without_a_schema_asks_for_migrate(empty_postgres_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="heavyjobs migrate"):
        async with Client.open(empty_postgres_url):
            pass
