"""What a running job can do: report, fail, checkpoint, run programs, publish outputs, spawn and await other jobs.

`Context` is for `def run`, `AsyncContext` for `async def run`: the same verbs, those that wait are awaited in the latter.
Neither knows the database or the pipe; a `Link` does the talking (the worker's, or a test's).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel

from heavyjobs import events, outputs, programs
from heavyjobs.assignment import Assignment, Failure, Link
from heavyjobs.children import (
    E2,
    Child,
    Spawnable,
    await_request,
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
from heavyjobs.common_context import CommonContext
from heavyjobs.errors import JobCancelled, JobDead
from heavyjobs.leftovers import finding_over, over_in, sweep, tell_swept
from heavyjobs.model import E, Outcome, R, S

if TYPE_CHECKING:
    from heavyjobs.job import Job

__all__ = ["Assignment", "AsyncContext", "Context", "EitherContext", "Failure", "Link"]


class Context(CommonContext[S, E]):
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


class AsyncContext(CommonContext[S, E]):
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
