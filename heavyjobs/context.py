"""What a running job can do: report, fail, checkpoint, run programs, publish outputs, spawn and await other jobs.

`Context` is for `def run`, `AsyncContext` for `async def run`: the same verbs, those that wait are awaited in the latter.
Neither knows the database or the pipe; a `Link` does the talking (the worker's, or a test's).
"""

from __future__ import annotations

import errno
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, Protocol
from uuid import UUID

from pydantic import BaseModel
from typing_extensions import TypeVar

from heavyjobs import events, foresight, outputs, programs
from heavyjobs.children import (
    E2,
    Child,
    Spawnable,
    await_request,
    batches_of,
    cancel_request,
    ends_in,
    first_death_or_all,
    ids_in,
    in_order,
    outcomes_of,
    reads_of,
    results_of,
    statuses_in,
    statuses_request,
)
from heavyjobs.errors import FailRequested, JobCancelled, JobDead, JobDefinitionError, UsageError
from heavyjobs.leftovers import Left, Looks, finding_over, over_in, sweep, tell_swept
from heavyjobs.locations import Locations
from heavyjobs.model import (
    DEPTH_MAX,
    ClaimKey,
    E,
    Outcome,
    R,
    S,
)
from heavyjobs.scratch import make_scratch, remove_scratch
from heavyjobs.values import (
    CHECKPOINT_MAX_BYTES,
    RESULT_MAX_BYTES,
    STATUS_MAX_BYTES,
    JsonText,
    encode,
    encode_typed,
    exact_serializer,
    visible,
)

if TYPE_CHECKING:
    from heavyjobs.job import Job

M = TypeVar("M", bound=BaseModel)

_LOOKS: Final = Looks()
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


class Link(Protocol):
    """How a context reaches its coordinator."""

    @property
    def stop(self) -> events.Stop | None:
        """Why the job was asked to stop; None when it was not, or nobody said why."""
        ...

    def report(self, status: JsonText) -> None:
        """Send the latest status; returns at once."""
        ...

    def ask(self, request: events.Request) -> JsonText:
        """Send a request and wait for its answer.

        Raises:
            HeavyjobsError: of the kind that the coordinator refused it with.
        """
        ...

    async def ask_async(self, request: events.Request) -> JsonText: ...

    def log(self, text: str) -> None:
        """Add the output of a child program to the log."""
        ...

    def shield(self) -> AbstractContextManager[None]:
        """Hold a request to stop back until the block is left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What an invocation knows about itself."""

    claim: ClaimKey
    kind: str
    queue: str
    attempt: int
    attempts: int
    epoch: int
    depth: int
    checkpoint: JsonText | None


@dataclass(frozen=True, slots=True)
class Failure:
    """What `fail` was called with: the error as JSON, its type's name, a line for people, and whether to try again."""

    error: JsonText
    type: str
    message: str
    retry: bool


class _Base(Generic[S, E]):
    """What both contexts share: everything that does not wait."""

    def __init__(self, assignment: Assignment, link: Link, *, job: Job[Any, S, E], locations: Locations) -> None:
        self._assignment: Final = assignment
        self._link: Final = link
        self._job: Final = job
        self._locations: Final = locations
        self._failure: Failure | None = None
        self._workspace: Path | None = None
        self._checkpoint = assignment.checkpoint
        self._spawned: Counter[str] = Counter()

    @property
    def job_id(self) -> UUID:
        return self._assignment.claim.job

    @property
    def claim(self) -> ClaimKey:
        """The fencing token: its number is larger than that of any earlier invocation of this job."""
        return self._assignment.claim

    @property
    def attempt(self) -> int:
        """From 1; the last one is `attempts`."""
        return self._assignment.attempt

    @property
    def attempts(self) -> int:
        return self._assignment.attempts

    @property
    def epoch(self) -> int:
        """Counts how often the job was sent again after it had ended, by `retry`, from 1."""
        return self._assignment.epoch

    @property
    def queue(self) -> str:
        """The queue that the job was in, for children that belong there too."""
        return self._assignment.queue

    @property
    def locations(self) -> Locations:
        """The places that the configuration names, and what plain paths it allows."""
        return self._locations

    def report(self, status: S) -> None:
        """Show this as the job's status; the latest wins. Cheap: call it as often as there is news.

        Raises:
            Unstorable: larger than 64 KiB, or not JSON.
        """
        adapter = self._job.status_adapter()
        if adapter is None:
            raise JobDefinitionError(f"{self._assignment.kind}: reports a status but declares none; write Job[Result, Status]")
        what = f"the status of {self._assignment.kind}"
        self._link.report(encode_typed(adapter.serializer, status, what=what, max_bytes=STATUS_MAX_BYTES))

    def fail(self, error: E, *, retry: bool = True) -> NoReturn:
        """Leave the job as failed with its own typed error.

        It cannot be swallowed: a job that catches the BaseException raised here has failed all the same.

        Args:
            retry: False when trying again is useless: the job is dead at once.

        Raises:
            Unstorable: the error is not JSON, or larger than a result may be.
        """
        adapter = self._job.error_adapter()
        if adapter is None:
            raise JobDefinitionError(
                f"{self._assignment.kind}: fails with an error but declares none; write Job[Result, Status, Error]"
            )
        what = f"the error of {self._assignment.kind}"
        text = encode_typed(adapter.serializer, error, what=what, max_bytes=RESULT_MAX_BYTES)
        name = type(error).__name__
        # An error model that says itself in its own words says it best.
        said = str(error) if type(error).__str__ not in (BaseModel.__str__, object.__str__) else f"{name}: {text[:500]}"
        self._failure = Failure(text, name, visible(said), retry)
        raise FailRequested(said)

    def runs_again(self, error: BaseException) -> bool:
        """Whether this job, left by that error, will run again, so that what it has made so far may stay for that.

        Yes when its coordinator drains, or another has it now; after a timeout or a failure that is tried again while attempts
        are left; and when it was asked to stop and nobody said why. No after a cancel, the last attempt, and what is final.
        """
        retry = None if self._failure is None else self._failure.retry
        return foresight.runs_again(error, stop=self._link.stop, retry=retry, last=self.attempt >= self.attempts)

    def resume(self, model: type[M]) -> M | None:
        """The newest checkpoint of any earlier attempt, or None."""
        return None if self._checkpoint is None else model.model_validate_json(self._checkpoint)

    @property
    def workspace(self) -> Path:
        """A folder for scratch files, made at first use and gone after the invocation."""
        if self._workspace is None:
            self._workspace = make_scratch(self.claim)
        return self._workspace

    @contextmanager
    def shielded(self) -> Generator[None]:
        """Hold a request to stop back until the block is left; keep it short, force comes after the grace."""
        with self._link.shield():
            yield

    # -- for the worker, not for jobs

    @property
    def failure(self) -> Failure | None:
        """Set when `fail` was called."""
        return self._failure

    def clean_up(self) -> None:
        """Remove the workspace."""
        if self._workspace is not None:
            remove_scratch(self._workspace)

    # -- helpers of both

    def _stage(self, target: str | Path, *, replace: bool) -> Callable[[], outputs.Publishable]:
        """What makes an output that is to be written, on this host or for a place elsewhere."""
        elsewhere = self._locations.elsewhere(str(target))
        if elsewhere is None:
            path = self._locations.path(target)
            return lambda: outputs.Staged(path, claim=self.claim, replace=replace)
        from heavyjobs.deliveries import Delivery
        from heavyjobs.storage import open_storage

        return lambda: Delivery(
            open_storage(elsewhere.url),
            elsewhere.key,
            text=str(target),
            workspace=self.workspace,
            claim=self.claim,
            replace=replace,
        )

    def _left_beside(self, target: str | Path) -> list[Left]:
        """What other jobs have left in the folder of a target on this host's file systems, or are at work on there."""
        if self._locations.elsewhere(str(target)) is not None:
            return []
        return _LOOKS.found(self._locations.path(target).parent, but=self.job_id)

    def _resumes(self, error: BaseException) -> bool:
        """Whether an output left by that error is kept for the next run; a full disk has its room back meanwhile."""
        return self.runs_again(error) and not (isinstance(error, OSError) and error.errno in _FULL)

    def _keep(self, model: BaseModel) -> events.Checkpoint:
        what = f"the checkpoint of {self._assignment.kind}"
        self._checkpoint = encode_typed(exact_serializer(type(model)), model, what=what, max_bytes=CHECKPOINT_MAX_BYTES)
        return events.Checkpoint(self._checkpoint)

    def _new_children(self, jobs: Sequence[Job[Any, Any, Any]], key: str | None) -> list[events.Spawn]:
        if self._assignment.depth + 1 > DEPTH_MAX:
            raise UsageError(f"{self._assignment.kind}: a family of jobs is at most {DEPTH_MAX} deep; this one is")
        return batches_of([self._new_child(job, key) for job in jobs])

    def _new_child(self, job: Job[Any, Any, Any], key: str | None) -> events.NewChild:
        if not _is_job(job):
            raise UsageError(f"{self._assignment.kind}: spawn and gather take jobs of classes with a kind, not {job!r}")
        parameters = job.parameters()
        if key is None:
            # The same code spawns the same jobs in the same order when it runs again, so equal ones are told apart by counting.
            digest = hashlib.sha256(f"{job.kind} {job.version} {parameters}".encode()).hexdigest()[:16]
            self._spawned[digest] += 1
            key = f"{job.kind}:{digest}:{self._spawned[digest]}"
        encode(key, what="the key of a spawned job", max_bytes=events.KEY_MAX_BYTES)
        return events.NewChild(key=key, kind=job.kind, version=job.version, parameters=parameters, policy=job.policy())


class Context(_Base[S, E]):
    """What a `def run` job can do."""

    def checkpoint(self, model: BaseModel) -> None:
        """Keep this for the next attempt's `resume`; stored when the call returns.

        Raises:
            Unstorable: larger than 256 KiB, or not JSON.
            ClaimLost: the job is another's now; stop.
        """
        with self._link.shield():
            self._link.ask(self._keep(model))

    def output(
        self, target: str | Path, *, replace: bool = False, resume: bool = False
    ) -> AbstractContextManager[outputs.Output]:
        """Write to what the block is given; it becomes `target` when the block is left cleanly: whole, or not at all.

            with ctx.output("media:film.txt") as out, open(out, "w") as file:  # or out.path, a Path
                file.write("…")

        Nothing is there at first: make a file or folder of it. It lies on the target's own file system. A clean exit syncs it,
        checks that the claim is still held, and publishes it by rename; any other exit removes it. For a place elsewhere (S3,
        SFTP) it is a file in the workspace, which a clean exit sends, then publishes in one step.

        Args:
            resume: be given what an earlier invocation of this job left, if that lies here: it holds at least what was synced
                before that invocation's last checkpoint, and perhaps more. Keep `out.begun_by` in the checkpoint; one that has
                another was of another output. In return an exit by an error leaves it where the job runs again (`runs_again`),
                unless the disk is full.

        Raises:
            TargetExists: at once when the target is there and `replace` is False, and again instead of replacing one that came
                meanwhile.
            PathRefused: outside of what the configuration opens.
        """
        self.sweep_beside(target)
        return outputs.published(
            self._stage(target, replace=replace),
            confirm=self._confirm,
            shield=self._link.shield,
            resume=resume,
            stays=self._resumes,
        )

    def sweep_beside(self, target: str | Path) -> None:
        """Remove what jobs that have ended have left in the folder of a target; `output` does so by itself.

        What another host's file system holds, or may not be removed from here, stays.
        """
        found = self._left_beside(target)
        over = [self._link.ask(request) for request in finding_over(found)]
        tell_swept(sweep(found, over_in(over)))

    @contextmanager
    def publishing(self) -> Generator[None]:
        """For what becomes visible elsewhere than by `output`, in one step: entered only while the claim is held, and not
        interrupted.

        Keep it as short as that step.

        Raises:
            ClaimLost: the job is another's now; nothing may be published.
        """
        with self._link.shield():
            self._confirm()
            yield

    def _confirm(self) -> None:
        self._link.ask(events.Confirm())

    def program(
        self,
        argv: Sequence[programs.Argument],
        *,
        stream: programs.Stream = "stdout",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        watch: Callable[[], None] | None = None,
    ) -> AbstractContextManager[Iterator[str]]:
        """Run a child program; the block iterates over the lines of `stream`, the other stream goes to the log.

        Leaving the block early, or a cancel, ends the program and all that it started. Its standard input is empty; no shell.

        Args:
            watch: called some times a second while the block waits for lines, and for the end; what it raises ends the program
                and leaves the block. That is how one that stands still is told from one that is slow.

        Raises:
            ProgramFailed: at the end of the lines, when it exited with another code than 0 or by a signal.
            UsageError: one text instead of a list of arguments.
            WorkError: there is no such program.
        """
        return programs.program(
            argv, stream=stream, cwd=cwd, env=env, log=self._link.log, watch=watch, shield=self._link.shield
        )

    def program_bytes(self, argv: Sequence[programs.Argument], *, stdin: int) -> AbstractContextManager[Iterator[bytes]]:
        """Run a child program that makes bytes of bytes; the block iterates over its output as it comes, in pieces of any size.

        All else is as with `program`, from whose errors its own do not differ.

        Args:
            stdin: the descriptor of an open file; where that stands, the program and this process share.
        """
        return programs.program_bytes(argv, stdin=stdin, log=self._link.log, shield=self._link.shield)

    def spawn(self, job: Job[R, Any, E2], *, key: str | None = None) -> Child[R, E2]:
        """Submit a child. Idempotent over re-runs: the same key finds the same child, finished or not.

        Only a child that ended without a result before this run began is sent again, with a new budget of attempts.

        Args:
            key: names it among its siblings; by default made from its kind, parameters and a count of equal ones.

        Raises:
            KeyReused: the key names a child with other parameters; says the difference.
            UsageError: not a job, or the family would become more than 32 deep.
        """
        return Child(self._spawn([job], key)[0], type(job))

    def gather(self, jobs: Sequence[Spawnable[R, Any]]) -> list[R]:
        """Wait for children (jobs among them are spawned first) and give their results, in the same order.

        While it waits, this job counts against no bound and its timeout stands still.

        Raises:
            JobDead, JobCancelled: of the first child that has no result; the others are cancelled.
        """
        children = self._children(jobs)
        try:
            states = self._await(children, first_death=True)
            return results_of(children, self._ends(first_death_or_all(states)))
        except (JobDead, JobCancelled):
            self._link.ask(cancel_request(children))
            raise

    def outcomes(self, jobs: Sequence[Spawnable[R, E2]]) -> list[Outcome[R, E2]]:
        """Wait for all children to end, however they do; never raises for how they ended."""
        children = self._children(jobs)
        self._await(children, first_death=False)
        return outcomes_of(children, self._ends([child.id for child in children]))

    def statuses(self, children: Sequence[Child[Any, Any]]) -> list[Any]:
        """The latest status of each child, of its own type; None where it has reported none since it was last begun."""
        return statuses_in(children, self._link.ask(statuses_request(children)))

    def _children(self, jobs: Sequence[Spawnable[R, E2]]) -> list[Child[R, E2]]:
        new = [job for job in jobs if not isinstance(job, Child)]
        return in_order(jobs, iter(self._spawn(new, None)))

    def _spawn(self, jobs: Sequence[Job[Any, Any, Any]], key: str | None) -> list[UUID]:
        answers = [self._link.ask(request) for request in self._new_children(jobs, key)]
        return [child for answer in answers for child in ids_in(answer)]

    def _await(self, children: Sequence[Child[Any, Any]], *, first_death: bool) -> list[events.ChildState]:
        return events.read(events.CHILD_STATES, self._link.ask(await_request(children, first_death=first_death)))

    def _ends(self, jobs: Sequence[UUID]) -> list[events.ChildEnd]:
        answers = [self._link.ask(request) for request in reads_of(jobs)]
        return [end for answer in answers for end in ends_in(answer)]


class AsyncContext(_Base[S, E]):
    """What an `async def run` job can do; each verb as in `Context`.

    A request to stop is an `asyncio.CancelledError`.
    """

    async def checkpoint(self, model: BaseModel) -> None:
        await self._link.ask_async(self._keep(model))

    @asynccontextmanager
    async def output(
        self, target: str | Path, *, replace: bool = False, resume: bool = False
    ) -> AsyncGenerator[outputs.Output]:
        await self.sweep_beside(target)
        staged = await outputs.in_thread(self._stage(target, replace=replace))
        stays = False
        try:
            await outputs.in_thread(lambda: staged.begin(resume=resume))
            yield staged.output
            await outputs.in_thread(staged.sync)
            await self._link.ask_async(events.Confirm())
            await _step(staged, staged.publish)
        except BaseException as error:  # passed on: only what stays is decided, which a request to stop decides too
            stays = resume and staged.resumable and self._resumes(error)
            raise
        finally:
            if not stays:
                await _step(staged, staged.discard)

    async def sweep_beside(self, target: str | Path) -> None:
        found = await outputs.in_thread(lambda: self._left_beside(target))
        over = [await self._link.ask_async(request) for request in finding_over(found)]
        tell_swept(await outputs.in_thread(lambda: sweep(found, over_in(over))))

    def program(
        self,
        argv: Sequence[programs.Argument],
        *,
        stream: programs.Stream = "stdout",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        watch: Callable[[], None] | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return programs.async_program(argv, stream=stream, cwd=cwd, env=env, log=self._link.log, watch=watch)

    def program_bytes(
        self, argv: Sequence[programs.Argument], *, stdin: int
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return programs.async_program_bytes(argv, stdin=stdin, log=self._link.log)

    async def spawn(self, job: Job[R, Any, E2], *, key: str | None = None) -> Child[R, E2]:
        return Child((await self._spawn([job], key))[0], type(job))

    async def gather(self, jobs: Sequence[Spawnable[R, Any]]) -> list[R]:
        children = await self._children(jobs)
        try:
            states = await self._await(children, first_death=True)
            return results_of(children, await self._ends(first_death_or_all(states)))
        except (JobDead, JobCancelled):
            await self._link.ask_async(cancel_request(children))
            raise

    async def outcomes(self, jobs: Sequence[Spawnable[R, E2]]) -> list[Outcome[R, E2]]:
        children = await self._children(jobs)
        await self._await(children, first_death=False)
        return outcomes_of(children, await self._ends([child.id for child in children]))

    async def statuses(self, children: Sequence[Child[Any, Any]]) -> list[Any]:
        return statuses_in(children, await self._link.ask_async(statuses_request(children)))

    async def _children(self, jobs: Sequence[Spawnable[R, E2]]) -> list[Child[R, E2]]:
        new = [job for job in jobs if not isinstance(job, Child)]
        return in_order(jobs, iter(await self._spawn(new, None)))

    async def _spawn(self, jobs: Sequence[Job[Any, Any, Any]], key: str | None) -> list[UUID]:
        answers = [await self._link.ask_async(request) for request in self._new_children(jobs, key)]
        return [child for answer in answers for child in ids_in(answer)]

    async def _await(self, children: Sequence[Child[Any, Any]], *, first_death: bool) -> list[events.ChildState]:
        return events.read(events.CHILD_STATES, await self._link.ask_async(await_request(children, first_death=first_death)))

    async def _ends(self, jobs: Sequence[UUID]) -> list[events.ChildEnd]:
        answers = [await self._link.ask_async(request) for request in reads_of(jobs)]
        return [end for answer in answers for end in ends_in(answer)]


class EitherContext(Context[S, E], AsyncContext[S, E]):  # type: ignore[misc]  # the two differ in what they await, on purpose
    """Never made: the parameter of `Job.run`, so that an override may take either context and still checks."""


async def _step(staged: outputs.Publishable, step: Callable[[], None]) -> None:
    """A rename is done at once, so that no cancel falls in between; a server may take its time, beside the event loop."""
    if isinstance(staged, outputs.Staged):
        step()
    else:
        await outputs.in_thread(step)


def _is_job(value: object) -> bool:
    return isinstance(value, BaseModel) and bool(getattr(value, "kind", None))
