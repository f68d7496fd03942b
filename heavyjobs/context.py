"""What a running job can do: report, fail, checkpoint, run programs, publish outputs, spawn and await other jobs.

`Context` is for `def run`, `AsyncContext` for `async def run`: the same verbs, those that wait are awaited in the latter.
Neither knows the database or the pipe; a `Link` does the talking (the worker's, or a test's).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Never, NoReturn, Protocol, TypeAlias
from uuid import UUID

from pydantic import BaseModel
from typing_extensions import TypeVar

from heavyjobs import events, outputs, programs
from heavyjobs.errors import FailRequested, JobCancelled, JobDead, JobDefinitionError, UsageError
from heavyjobs.locations import Locations
from heavyjobs.model import (
    CAUSE_UNKNOWN,
    DEPTH_MAX,
    Cancelled,
    Cause,
    ClaimKey,
    Dead,
    E,
    JobState,
    Outcome,
    R,
    S,
    Succeeded,
    short_id,
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
E2 = TypeVar("E2", default=Never)


class Link(Protocol):
    """How a context reaches its coordinator."""

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


@dataclass(frozen=True, slots=True)
class Child(Generic[R, E]):
    """A spawned job, whose result can be gathered."""

    id: UUID
    type: type[Job[R, Any, E]]


Spawnable: TypeAlias = "Job[R, Any, E] | Child[R, E]"
"""What can be waited for: a job, which is spawned first, or a child that was."""


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

    def _keep(self, model: BaseModel) -> events.Checkpoint:
        what = f"the checkpoint of {self._assignment.kind}"
        self._checkpoint = encode_typed(exact_serializer(type(model)), model, what=what, max_bytes=CHECKPOINT_MAX_BYTES)
        return events.Checkpoint(self._checkpoint)

    def _new_children(self, jobs: Sequence[Job[Any, Any, Any]], key: str | None) -> list[events.Spawn]:
        if self._assignment.depth + 1 > DEPTH_MAX:
            raise UsageError(f"{self._assignment.kind}: a family of jobs is at most {DEPTH_MAX} deep; this one is")
        return _batches_of([self._new_child(job, key) for job in jobs])

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
            resume: be given what an earlier invocation of this job left when it died, if that lies here: it holds at least
                what was synced before that invocation's last checkpoint, and perhaps more. Keep `out.begun_by` in the
                checkpoint; one that has another was of another output.

        Raises:
            TargetExists: at once when the target is there and `replace` is False, and again instead of replacing one that came
                meanwhile.
            PathRefused: outside of what the configuration opens.
        """
        return outputs.published(
            self._stage(target, replace=replace), confirm=self._confirm, shield=self._link.shield, resume=resume
        )

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
            return _results(children, self._ends(_first_death_or_all(states)))
        except (JobDead, JobCancelled):
            self._link.ask(_cancel_request(children))
            raise

    def outcomes(self, jobs: Sequence[Spawnable[R, E2]]) -> list[Outcome[R, E2]]:
        """Wait for all children to end, however they do; never raises for how they ended."""
        children = self._children(jobs)
        self._await(children, first_death=False)
        return _outcomes(children, self._ends([child.id for child in children]))

    def statuses(self, children: Sequence[Child[Any, Any]]) -> list[Any]:
        """The latest status of each child, of its own type; None where it has reported none since it was last begun."""
        return _statuses(children, self._link.ask(_statuses_request(children)))

    def _children(self, jobs: Sequence[Spawnable[R, E2]]) -> list[Child[R, E2]]:
        new = [job for job in jobs if not isinstance(job, Child)]
        return _in_order(jobs, iter(self._spawn(new, None)))

    def _spawn(self, jobs: Sequence[Job[Any, Any, Any]], key: str | None) -> list[UUID]:
        answers = [self._link.ask(request) for request in self._new_children(jobs, key)]
        return [child for answer in answers for child in _ids_in(answer)]

    def _await(self, children: Sequence[Child[Any, Any]], *, first_death: bool) -> list[events.ChildState]:
        return events.read(events.CHILD_STATES, self._link.ask(_await_request(children, first_death=first_death)))

    def _ends(self, jobs: Sequence[UUID]) -> list[events.ChildEnd]:
        answers = [self._link.ask(request) for request in _reads_of(jobs)]
        return [end for answer in answers for end in _ends_in(answer)]


class AsyncContext(_Base[S, E]):
    """What an `async def run` job can do; each verb as in `Context`.

    A request to stop is an `asyncio.CancelledError`, whose one argument says why: `events.CANCELLED` when somebody has
    cancelled the job, so that it is not tried again.
    """

    async def checkpoint(self, model: BaseModel) -> None:
        await self._link.ask_async(self._keep(model))

    @asynccontextmanager
    async def output(
        self, target: str | Path, *, replace: bool = False, resume: bool = False
    ) -> AsyncGenerator[outputs.Output]:
        staged = await outputs.in_thread(self._stage(target, replace=replace))
        try:
            await outputs.in_thread(lambda: staged.begin(resume=resume))
            yield staged.output
            await outputs.in_thread(staged.sync)
            await self._link.ask_async(events.Confirm())
            await _step(staged, staged.publish)
        finally:
            await _step(staged, staged.discard)

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

    async def spawn(self, job: Job[R, Any, E2], *, key: str | None = None) -> Child[R, E2]:
        return Child((await self._spawn([job], key))[0], type(job))

    async def gather(self, jobs: Sequence[Spawnable[R, Any]]) -> list[R]:
        children = await self._children(jobs)
        try:
            states = await self._await(children, first_death=True)
            return _results(children, await self._ends(_first_death_or_all(states)))
        except (JobDead, JobCancelled):
            await self._link.ask_async(_cancel_request(children))
            raise

    async def outcomes(self, jobs: Sequence[Spawnable[R, E2]]) -> list[Outcome[R, E2]]:
        children = await self._children(jobs)
        await self._await(children, first_death=False)
        return _outcomes(children, await self._ends([child.id for child in children]))

    async def statuses(self, children: Sequence[Child[Any, Any]]) -> list[Any]:
        return _statuses(children, await self._link.ask_async(_statuses_request(children)))

    async def _children(self, jobs: Sequence[Spawnable[R, E2]]) -> list[Child[R, E2]]:
        new = [job for job in jobs if not isinstance(job, Child)]
        return _in_order(jobs, iter(await self._spawn(new, None)))

    async def _spawn(self, jobs: Sequence[Job[Any, Any, Any]], key: str | None) -> list[UUID]:
        answers = [await self._link.ask_async(request) for request in self._new_children(jobs, key)]
        return [child for answer in answers for child in _ids_in(answer)]

    async def _await(self, children: Sequence[Child[Any, Any]], *, first_death: bool) -> list[events.ChildState]:
        return events.read(events.CHILD_STATES, await self._link.ask_async(_await_request(children, first_death=first_death)))

    async def _ends(self, jobs: Sequence[UUID]) -> list[events.ChildEnd]:
        answers = [await self._link.ask_async(request) for request in _reads_of(jobs)]
        return [end for answer in answers for end in _ends_in(answer)]


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


def _batches_of(children: Sequence[events.NewChild]) -> list[events.Spawn]:
    """Requests that each fit into a frame."""
    batches: list[list[events.NewChild]] = []
    size = 0
    for child in children:
        size += len(child.parameters)
        if not batches or len(batches[-1]) == events.CHILDREN_MAX or size > events.SPAWN_MAX_BYTES:
            batches.append([])
            size = len(child.parameters)
        batches[-1].append(child)
    return [events.Spawn(tuple(batch)) for batch in batches]


def _reads_of(jobs: Sequence[UUID]) -> list[events.ReadEnds]:
    """Requests whose answers each fit into a frame."""
    return [events.ReadEnds(tuple(jobs[at : at + events.ENDS_MAX])) for at in range(0, len(jobs), events.ENDS_MAX)]


def _ids_in(answer: JsonText) -> list[UUID]:
    return events.read(events.CHILD_IDS, answer)


def _ends_in(answer: JsonText) -> list[events.ChildEnd]:
    return events.read(events.CHILD_ENDS, answer)


def _first_death_or_all(states: Sequence[events.ChildState]) -> list[UUID]:
    """Whose ends are worth reading: one that has no result says all."""
    deaths = [end.job for end in states if end.state is not JobState.SUCCEEDED]
    return deaths[:1] or [end.job for end in states]


def _await_request(children: Sequence[Child[Any, Any]], *, first_death: bool) -> events.Await:
    return events.Await(tuple(child.id for child in children), first_death)


def _cancel_request(children: Sequence[Child[Any, Any]]) -> events.CancelJobs:
    return events.CancelJobs(tuple(child.id for child in children))


def _statuses_request(children: Sequence[Child[Any, Any]]) -> events.ReadStatuses:
    return events.ReadStatuses(tuple(child.id for child in children))


def _statuses(children: Sequence[Child[Any, Any]], answer: JsonText) -> list[Any]:
    texts = events.read(events.CHILD_STATUSES, answer)
    return [_status(child.type, text) for child, text in zip(children, texts, strict=True)]


def _status(job_type: type[Job[Any, Any, Any]], text: JsonText | None) -> Any:
    adapter = job_type.status_adapter()
    return None if adapter is None or text is None else adapter.validate_json(text)


def _in_order(jobs: Sequence[Spawnable[R, E2]], new_ids: Iterator[UUID]) -> list[Child[R, E2]]:
    return [job if isinstance(job, Child) else Child(next(new_ids), type(job)) for job in jobs]


def _results(children: Sequence[Child[R, Any]], ends: Sequence[events.ChildEnd]) -> list[R]:
    """The results of children that all succeeded.

    Raises:
        JobDead, JobCancelled: for the first end that is another; then some children may have no end yet.
    """
    by_id = {child.id: child for child in children}
    results: dict[UUID, R] = {}
    for end in ends:
        match read_outcome(by_id[end.job].type, end):
            case Succeeded(result):
                results[end.job] = result
            case Dead(error, cause):
                raise JobDead(f"child {short_id(end.job)}: {end.message}", job_id=end.job, cause=cause, error=error)
            case Cancelled():
                raise JobCancelled(f"child {short_id(end.job)} was cancelled", job_id=end.job, cause=None)
    return [results[child.id] for child in children]


def _outcomes(children: Sequence[Child[R, E2]], ends: Sequence[events.ChildEnd]) -> list[Outcome[R, E2]]:
    by_id = {end.job: end for end in ends}
    return [read_outcome(child.type, by_id[child.id]) for child in children]


def read_outcome(job_type: type[Job[R, Any, E2]], end: events.ChildEnd) -> Outcome[R, E2]:
    """The typed outcome of a job that has ended."""
    match JobState(end.state):
        case JobState.SUCCEEDED:
            return Succeeded(job_type.result_adapter().validate_json(end.result or "null"))
        case JobState.CANCELLED:
            return Cancelled()
        case _:
            adapter = job_type.error_adapter()
            error = adapter.validate_json(end.error) if adapter is not None and end.error is not None else None
            cause = Cause(end.ending, end.message, traceback=end.traceback) if end.ending else CAUSE_UNKNOWN
            return Dead(error, cause)
