"""What a running job says to its coordinator, and what it makes of the answers; a link that remembers plays the coordinator."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from pydantic import BaseModel
from typing_extensions import override

from heavyjobs import (
    AsyncContext,
    Cancelled,
    Cause,
    Context,
    Dead,
    Ending,
    Job,
    JobCancelled,
    JobDead,
    JobDefinitionError,
    PathRefused,
    Succeeded,
    Unstorable,
    UsageError,
    events,
)
from heavyjobs.children import Child, read_outcome
from heavyjobs.context import Assignment
from heavyjobs.errors import FailRequested
from heavyjobs.locations import Locations
from heavyjobs.model import CAUSE_UNKNOWN, ClaimKey, JobState, new_id
from heavyjobs.values import NULL, JsonText


class Made(BaseModel):
    frames: int


class Making(BaseModel):
    done: int
    note: str = ""


class Torn(BaseModel):
    scene: str

    @override
    def __str__(self) -> str:
        return f"{self.scene} is torn"


class Scene(Job[Made, Making, Torn], kind="test_context.scene"):
    number: int = 1

    def run(self, ctx: Context[Making, Torn]) -> Made:
        raise AssertionError("not run here")


class Plain(Job[None], kind="test_context.plain"):
    async def run(self, ctx: AsyncContext) -> None:
        raise AssertionError("not run here")


class Coordinator:
    """Answers as a coordinator does: a key names one child, and children end as `ends` says, in the order of their keys."""

    def __init__(self, *ends: events.ChildEnd) -> None:
        self.said: Final[list[JsonText]] = []
        self.asked: Final[list[events.Request]] = []
        self.keys: Final[dict[str, UUID]] = {}
        self._ends: Final = ends
        self.stop: events.Stop | None = None

    def report(self, status: JsonText) -> None:
        self.said.append(status)

    def log(self, text: str) -> None:
        raise AssertionError("no programs here")

    def shield(self) -> AbstractContextManager[None]:
        return nullcontext()

    def ask(self, request: events.Request) -> JsonText:
        self.asked.append(request)
        match request:
            case events.Spawn(children):
                ids = [self.keys.setdefault(child.key, new_id()) for child in children]
                return JsonText(events.CHILD_IDS.dump_json(ids).decode())
            case events.Await():
                states = [events.ChildState(end.job, JobState(end.state)) for end in self._ended()]
                return JsonText(events.CHILD_STATES.dump_json(states).decode())
            case events.ReadEnds(jobs):
                ends = [end for end in self._ended() if end.job in jobs]
                return JsonText(events.CHILD_ENDS.dump_json(ends).decode())
            case _:
                return NULL

    async def ask_async(self, request: events.Request) -> JsonText:
        return self.ask(request)

    def _ended(self) -> list[events.ChildEnd]:
        return [replace(end, job=job) for job, end in zip(self.keys.values(), self._ends, strict=True)]


def _end(state: JobState, **more: Any) -> events.ChildEnd:
    told: dict[str, Any] = {"result": None, "error": None, "ending": None, "message": "", "traceback": None}
    return events.ChildEnd(job=UUID(int=0), state=state, **(told | more))


SUCCEEDED: Final = _end(JobState.SUCCEEDED, result='{"frames": 24}')
FAILED: Final = _end(JobState.DEAD, error='{"scene": "kiss"}', ending=Ending.FAILED, message="kiss is torn")
CRASHED: Final = _end(JobState.DEAD, ending=Ending.RAISED, message="KeyError: 1", traceback="Traceback …")
CANCELLED: Final = _end(JobState.CANCELLED, ending=Ending.CANCELLED, message="cancelled on request")


def assignment(*, depth: int = 0, checkpoint: str | None = None) -> Assignment:
    return Assignment(
        claim=ClaimKey(new_id(), 2),
        kind="test_context.scene",
        queue="default",
        attempt=2,
        attempts=3,
        epoch=1,
        depth=depth,
        checkpoint=None if checkpoint is None else JsonText(checkpoint),
    )


def context(link: Coordinator, *, depth: int = 0, checkpoint: str | None = None) -> Context[Making, Torn]:
    nowhere = Locations({}, plain=False)
    return Context(assignment(depth=depth, checkpoint=checkpoint), link, job=Scene(), locations=nowhere)


def async_context(link: Coordinator) -> AsyncContext[Making, Torn]:
    return AsyncContext(assignment(), link, job=Scene(), locations=Locations({}, plain=False))


def plain_context(link: Coordinator) -> Context[Any, Any]:
    return Context(assignment(), link, job=Plain(), locations=Locations({}, plain=False))


# -- status and error


def test_a_status_is_sent_as_json() -> None:
    link = Coordinator()

    context(link).report(Making(done=3))

    assert link.said == ['{"done":3,"note":""}']


def test_a_status_that_nobody_can_read_is_refused() -> None:
    link = Coordinator()

    with pytest.raises(JobDefinitionError, match=r"declares none; write Job\[Result, Status\]"):
        plain_context(link).report(Making(done=3))
    with pytest.raises(Unstorable, match=r"the status of test_context\.scene takes .*, more than 64\.0 KiB"):
        context(link).report(Making(done=3, note="x" * 70_000))
    with pytest.raises(Unstorable, match=r"the status of test_context\.scene\.note: .* NUL"):
        context(link).report(Making(done=3, note="a\0b"))

    assert link.said == []


def test_a_failure_is_remembered_also_by_a_job_that_swallows_it() -> None:
    ctx = context(Coordinator())

    with pytest.raises(FailRequested):
        ctx.fail(Torn(scene="kiss"), retry=False)

    assert ctx.failure is not None
    assert (ctx.failure.error, ctx.failure.type, ctx.failure.message) == ('{"scene":"kiss"}', "Torn", "kiss is torn")
    assert not ctx.failure.retry
    assert not isinstance(FailRequested(), Exception)


def test_a_failure_of_a_class_that_declares_no_error_is_a_mistake_and_no_failure() -> None:
    ctx = plain_context(Coordinator())

    with pytest.raises(JobDefinitionError, match=r"declares none; write Job\[Result, Status, Error\]"):
        ctx.fail(Torn(scene="kiss"))

    assert ctx.failure is None


# -- checkpoints


def test_a_checkpoint_is_what_is_resumed_from() -> None:
    link = Coordinator()
    ctx = context(link, checkpoint='{"done": 7}')

    assert context(link).resume(Making) is None
    assert ctx.resume(Making) == Making(done=7)
    ctx.checkpoint(Making(done=8))

    assert link.asked == [events.Checkpoint(JsonText('{"done":8,"note":""}'))]
    assert ctx.resume(Making) == Making(done=8)


async def test_a_checkpoint_that_is_too_large_keeps_the_one_before() -> None:
    link = Coordinator()
    ctx = async_context(link)
    await ctx.checkpoint(Making(done=8))

    with pytest.raises(Unstorable, match=r"the checkpoint of test_context\.scene takes .*, more than 256 KiB"):
        await ctx.checkpoint(Making(done=9, note="x" * 300_000))

    assert ctx.resume(Making) == Making(done=8)
    assert len(link.asked) == 1


# -- files


def test_a_workspace_is_made_when_it_is_asked_for_and_gone_afterwards() -> None:
    ctx = context(Coordinator())
    folder = ctx.workspace
    (folder / "scratch").write_text("x")

    ctx.clean_up()

    assert not folder.exists()


def test_an_output_outside_of_what_is_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathRefused, match="plain paths are not allowed here"):
        context(Coordinator()).output(tmp_path / "film")


# -- children


async def test_automatic_keys_are_equal_over_re_runs_and_in_both_contexts() -> None:
    def spawn_some(ctx: Context[Making, Torn]) -> list[UUID]:
        return [
            ctx.spawn(Scene(number=1)).id,
            ctx.spawn(Scene(number=1)).id,
            ctx.spawn(Scene(number=2)).id,
            ctx.spawn(Plain()).id,
            ctx.spawn(Scene(), key="own").id,
        ]

    link = Coordinator()

    first, again = spawn_some(context(link)), spawn_some(context(link))
    fewer = await async_context(link).spawn(Scene(number=1))

    assert first == again
    assert len(set(first)) == 5
    assert fewer.id == first[0]
    assert "own" in link.keys


def test_a_child_is_sent_with_its_parameters_and_policy() -> None:
    link = Coordinator()

    child = context(link).spawn(Scene(number=4), key="four")

    assert child == Child(link.keys["four"], Scene)
    (asked,) = link.asked
    assert isinstance(asked, events.Spawn)
    assert asked.children == (
        events.NewChild(
            key="four", kind="test_context.scene", version=1, parameters=JsonText('{"number":4}'), policy=Scene().policy()
        ),
    )


@pytest.mark.parametrize("wrong", ["test_context.scene", Scene, {"number": 1}, Made(frames=1)])
def test_what_is_no_job_cannot_be_spawned(wrong: Any) -> None:
    link = Coordinator()

    with pytest.raises(UsageError, match="spawn and gather take jobs of classes with a kind, not"):
        context(link).spawn(wrong)

    assert link.asked == []


def test_a_family_is_not_endlessly_deep() -> None:
    context(Coordinator(), depth=31).spawn(Scene())

    with pytest.raises(UsageError, match="at most 32 deep"):
        context(Coordinator(), depth=32).spawn(Scene())


async def test_results_come_in_the_order_of_the_jobs() -> None:
    links = [Coordinator(SUCCEEDED, _end(JobState.SUCCEEDED, result='{"frames": 48}')) for _ in range(2)]
    jobs = [Scene(number=1), Scene(number=2)]

    assert context(links[0]).gather(jobs) == [Made(frames=24), Made(frames=48)]
    assert await async_context(links[1]).gather(jobs) == [Made(frames=24), Made(frames=48)]


async def test_the_first_death_ends_a_gather_and_the_other_children() -> None:
    links = [Coordinator(SUCCEEDED, FAILED, SUCCEEDED) for _ in range(2)]
    jobs = [Scene(number=number) for number in range(3)]

    with pytest.raises(JobDead, match="kiss is torn") as raised:
        context(links[0]).gather(jobs)
    with pytest.raises(JobDead, match="kiss is torn"):
        await async_context(links[1]).gather(jobs)

    assert raised.value.error == Torn(scene="kiss")
    assert raised.value.cause.ending is Ending.FAILED
    assert raised.value.job_id == list(links[0].keys.values())[1]
    for link in links:
        assert link.asked[-1] == events.CancelJobs(tuple(link.keys.values()))


def test_a_cancelled_child_ends_a_gather() -> None:
    with pytest.raises(JobCancelled, match="was cancelled"):
        context(Coordinator(CANCELLED)).gather([Scene()])


async def test_outcomes_are_values_however_children_ended() -> None:
    expected = [Succeeded(Made(frames=24)), Torn(scene="kiss"), None, Cancelled()]
    jobs: Sequence[Scene] = [Scene(number=number) for number in range(4)]

    found = context(Coordinator(SUCCEEDED, FAILED, CRASHED, CANCELLED)).outcomes(jobs)
    found_async = await async_context(Coordinator(SUCCEEDED, FAILED, CRASHED, CANCELLED)).outcomes(jobs)

    assert found == found_async
    assert [outcome.error if isinstance(outcome, Dead) else outcome for outcome in found] == expected


def test_an_outcome_has_its_cause_even_if_none_was_kept() -> None:
    told, untold = read_outcome(Scene, CRASHED), read_outcome(Scene, _end(JobState.DEAD))

    assert isinstance(told, Dead)
    assert (told.cause.ending, told.cause.message, told.cause.traceback) == (Ending.RAISED, "KeyError: 1", "Traceback …")
    assert untold == Dead(None, CAUSE_UNKNOWN)


def test_an_outcome_without_a_declared_error_is_dead_all_the_same() -> None:
    assert read_outcome(Plain, FAILED) == Dead(None, Cause(Ending.FAILED, "kiss is torn"))
    assert read_outcome(Plain, _end(JobState.SUCCEEDED)) == Succeeded(None)
