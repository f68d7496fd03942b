"""What the contexts of `def run` and `async def run` share: everything that does not wait."""

from __future__ import annotations

import errno
import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn
from uuid import UUID

from pydantic import BaseModel
from typing_extensions import TypeVar

from heavyjobs import events, foresight, outputs
from heavyjobs.assignment import Assignment, Failure, Link
from heavyjobs.children import batches_of
from heavyjobs.errors import FailRequested, JobDefinitionError, UsageError
from heavyjobs.leftovers import Left, Looks
from heavyjobs.locations import Locations
from heavyjobs.model import DEPTH_MAX, ClaimKey, E, S
from heavyjobs.scratch import make_scratch, remove_scratch
from heavyjobs.values import (
    CHECKPOINT_MAX_BYTES,
    RESULT_MAX_BYTES,
    STATUS_MAX_BYTES,
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


class CommonContext(Generic[S, E]):
    """One invocation's; not made as such."""

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


def _is_job(value: object) -> bool:
    return isinstance(value, BaseModel) and bool(getattr(value, "kind", None))
