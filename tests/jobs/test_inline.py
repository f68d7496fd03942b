from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from loguru import logger
from pydantic import BaseModel

from heavyjobs.context import AsyncContext, Context
from heavyjobs.errors import JobDead, UsageError
from heavyjobs.job import Job
from heavyjobs.testing.inline import run_inline, run_inline_async


class Step(BaseModel):
    number: int


class Sour(BaseModel):
    why: str


class Counting(Job[list[int], Step, Sour], kind="inline.counting"):
    upto: int
    sour_at: int | None = None
    swallow: bool = False

    def run(self, ctx: Context[Step, Sour]) -> list[int]:
        first = (ctx.resume(Step) or Step(number=0)).number
        for number in range(first, self.upto):
            ctx.report(Step(number=number))
            ctx.checkpoint(Step(number=number))
            logger.info("at {}", number)
            if number == self.sour_at:
                try:
                    ctx.fail(Sour(why="sour"), retry=False)
                except BaseException:
                    if not self.swallow:
                        raise
        (ctx.workspace / "scratch").touch()
        logging.getLogger("user").warning("%s", ctx.workspace)
        return list(range(first, self.upto))


class Listening(Job[str, Step], kind="inline.listening"):
    async def run(self, ctx: AsyncContext[Step]) -> str:
        ctx.report(Step(number=ctx.attempt))
        await ctx.checkpoint(Step(number=1))
        async with ctx.program([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"]) as lines:
            return " ".join([line async for line in lines])


class Broken(Job[None], kind="inline.broken"):
    def run(self, ctx: Context) -> None:
        raise ZeroDivisionError


class Parent(Job[None], kind="inline.parent"):
    def run(self, ctx: Context) -> None:
        ctx.spawn(Broken())


def test_a_job_runs_without_database_or_coordinator() -> None:
    done = run_inline(Counting(upto=3))

    assert done.result == [0, 1, 2]
    assert done.statuses == [Step(number=0), Step(number=1), Step(number=2)]
    assert [Step.model_validate_json(kept).number for kept in done.checkpoints] == [0, 1, 2]
    assert done.log[:3] == ["at 0", "at 1", "at 2"]
    assert not Path(done.log[3]).exists()  # the workspace is gone


def test_it_goes_on_from_a_checkpoint() -> None:
    assert run_inline(Counting(upto=5), checkpoint=Step(number=3)).result == [3, 4]


@pytest.mark.parametrize("swallow", [True, False])
def test_a_typed_failure_is_a_value_and_the_result_then_raises(swallow: bool) -> None:
    done = run_inline(Counting(upto=5, sour_at=2, swallow=swallow))

    assert done.error == Sour(why="sour")
    assert not done.retry
    with pytest.raises(JobDead, match="sour") as dead:
        _ = done.result
    assert dead.value.error == Sour(why="sour")


def test_an_asynchronous_job_gets_a_loop_of_its_own() -> None:
    done = run_inline(Listening(), attempt=2)

    assert done.result == "out"
    assert done.log == ["err"]
    assert done.statuses == [Step(number=2)]


async def test_or_runs_in_the_loop_of_the_test() -> None:
    assert (await run_inline_async(Listening())).result == "out"
    with pytest.raises(UsageError, match="use run_inline"):
        await run_inline_async(Counting(upto=1))


def test_other_exceptions_come_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError):
        run_inline(Broken())


def test_spawning_is_refused_with_what_would_do() -> None:
    with pytest.raises(UsageError, match="submit it to a coordinator"):
        run_inline(Parent())
