"""Run a job in this very process, without database or coordinator: for unit tests of job types.

    done = run_inline(Pack(source="in", target="out.zip"))
    assert done.result.members == 3
    assert isinstance(run_inline(Pack(source="missing", target="out.zip")).error, SourceMissing)

What differs from a worker: nothing is captured at the level of file descriptors, nothing can cancel or time out the job, and
`spawn` is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Generic, cast

from loguru import logger
from pydantic import BaseModel, TypeAdapter

from heavyjobs import events
from heavyjobs.context import Assignment, AsyncContext, Context
from heavyjobs.errors import FailRequested, JobDead, UsageError
from heavyjobs.job import Job
from heavyjobs.locations import Locations
from heavyjobs.model import Cause, ClaimKey, E, Ending, R, S, new_id
from heavyjobs.values import NULL, RESULT_MAX_BYTES, JsonText, encode_typed


@dataclass(slots=True)
class Inline(Generic[R, S, E]):
    """How a job ran.

    Attributes:
        error: the job's own typed error when it called `ctx.fail`, else None.
        retry: with an error: whether the job would be tried again.
        statuses, checkpoints: all that it reported and kept, in order.
        log: what it logged with loguru or `logging`, and what its programs wrote, in order.
    """

    job: Job[R, S, E]
    error: E | None = None
    retry: bool = True
    statuses: list[S] = field(default_factory=list[S])
    checkpoints: list[JsonText] = field(default_factory=list[JsonText])
    log: list[str] = field(default_factory=list[str])
    returned: list[R] = field(default_factory=list[R])

    @property
    def result(self) -> R:
        """What the job returned, after a round trip through JSON, as a caller elsewhere would get it.

        Raises:
            JobDead: it failed with its own error instead.
        """
        if self.returned:
            return self.returned[0]
        text = f"{self.job.kind} failed: {self.error}"
        raise JobDead(
            text, job_id=new_id(), cause=Cause(Ending.FAILED, str(self.error)), error=self.error, log_tail=self.log[-20:]
        )


def run_inline(
    job: Job[R, S, E],
    *,
    locations: Locations | None = None,
    checkpoint: BaseModel | None = None,
    attempt: int = 1,
) -> Inline[R, S, E]:
    """Run a job to its end; one that is `async def` gets an event loop of its own.

    Args:
        locations: what it may open; by default every plain path.
        checkpoint: what an earlier attempt kept, for `ctx.resume`.

    Raises:
        Exception: what the job raises, other than its own typed error.
    """
    if job.waits():
        return asyncio.run(run_inline_async(job, locations=locations, checkpoint=checkpoint, attempt=attempt))
    done, assignment, copy = _prepared(job, checkpoint, attempt)
    ctx = Context[S, E](assignment, Link(done), job=copy, locations=locations or Locations({}, plain=True))
    with _logged(done), _ended(ctx, done):
        _returned(done, cast("Any", copy).run(ctx))
    return done


async def run_inline_async(
    job: Job[R, S, E],
    *,
    locations: Locations | None = None,
    checkpoint: BaseModel | None = None,
    attempt: int = 1,
) -> Inline[R, S, E]:
    """Run an `async def` job to its end in the loop that runs."""
    if not job.waits():
        raise UsageError(f"{job.kind} is a plain def; use run_inline")
    done, assignment, copy = _prepared(job, checkpoint, attempt)
    ctx = AsyncContext[S, E](assignment, Link(done), job=copy, locations=locations or Locations({}, plain=True))
    with _logged(done), _ended(ctx, done):
        _returned(done, await cast("Any", copy).run(ctx))
    return done


class Link:
    """Keeps what a worker would send."""

    stop: events.Stop | None = None

    def __init__(self, done: Inline[Any, Any, Any]) -> None:
        self._done: Final = done
        adapter = done.job.status_adapter()
        self._status: Final[TypeAdapter[Any] | None] = adapter

    def report(self, status: JsonText) -> None:
        if self._status is not None:
            self._done.statuses.append(self._status.validate_json(status))

    def ask(self, request: events.Request) -> JsonText:
        match request:
            case events.Checkpoint(data):
                self._done.checkpoints.append(data)
                return NULL
            case events.Confirm():
                return JsonText("true")
            case events.FindOver():
                return JsonText("[]")  # it knows of none, so that what they have left stays
            case _:
                raise UsageError("a job that runs inline cannot spawn others; submit it to a coordinator instead")

    async def ask_async(self, request: events.Request) -> JsonText:
        return self.ask(request)

    def log(self, text: str) -> None:
        self._done.log.append(text)

    def shield(self) -> AbstractContextManager[None]:
        return nullcontext()


def _prepared(
    job: Job[R, S, E], checkpoint: BaseModel | None, attempt: int
) -> tuple[Inline[R, S, E], Assignment, Job[R, S, E]]:
    """The job as a worker would get it: from its stored parameters."""
    policy = job.policy()
    assignment = Assignment(
        claim=ClaimKey(new_id(), attempt),
        kind=job.kind,
        queue=policy.queue,
        attempt=attempt,
        attempts=max(policy.attempts, attempt),
        epoch=0,
        depth=0,
        checkpoint=None if checkpoint is None else JsonText(checkpoint.model_dump_json(by_alias=True)),
    )
    return Inline(job), assignment, job.parse(job.version, job.parameters())


def _returned(done: Inline[R, S, E], result: R) -> None:
    adapter = done.job.result_adapter()
    text = encode_typed(adapter.serializer, result, what=f"the result of {done.job.kind}", max_bytes=RESULT_MAX_BYTES)
    done.returned.append(adapter.validate_json(text))


@contextmanager
def _ended(ctx: Context[S, E] | AsyncContext[S, E], done: Inline[R, S, E]) -> Generator[None]:
    """Note the typed failure, also one that the job swallowed; remove the workspace."""
    try:
        yield
    except FailRequested:
        pass
    finally:
        ctx.clean_up()
        if ctx.failure is not None:
            text, done.retry = ctx.failure.error, ctx.failure.retry
            adapter = done.job.error_adapter()
            done.error = None if adapter is None else adapter.validate_json(text)
            done.returned.clear()


@contextmanager
def _logged(done: Inline[R, S, E]) -> Generator[None]:
    handler = _Handler(done.log)
    root, sink = logging.getLogger(), logger.add(lambda line: done.log.append(str(line).rstrip("\n")), format="{message}")
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        logger.remove(sink)


class _Handler(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines: Final = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())
