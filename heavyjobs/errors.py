"""Every error that heavyjobs raises on purpose, in one tree.

    HeavyjobsError
    ├── UsageError                      the caller's mistake; trying again changes nothing
    │   ├── ConfigurationError          file, key, what is wrong, what would do
    │   ├── JobDefinitionError          a job class that cannot work, found when the class is made
    │   ├── InvalidParameters           parameters that do not fit their job class
    │   ├── UnknownKind                 no job class of that kind is known here
    │   ├── Unstorable                  a value that no database of ours can hold, or that is too large
    │   ├── KeyReused                   a spawn key that already names another child
    │   ├── NotCommitted                awaiting a job whose INSERT is not committed yet
    │   ├── JobNotFound                 no job has that id
    │   ├── AmbiguousId                 several jobs end in that tail
    │   ├── JobMismatch                 a stored job that does not fit the class it is read with
    │   └── WrongState                  the job's state does not allow that
    ├── StoreError
    │   ├── StoreUnavailable            the database is away, locked or full; nothing is known to have changed
    │   ├── SchemaMismatch              the database's schema is older or newer than this release can use
    │   ├── SessionFenced               this coordinator was declared dead; all its claims are void
    │   └── ClaimLost                   another coordinator has the job now
    ├── JobEnded                        what awaiting a result raises when there is none
    │   ├── JobDead
    │   └── JobCancelled
    └── WorkError                       raised inside a job
        ├── ProgramFailed               a child program ended badly
        ├── TargetExists                an output that is already there
        └── PathRefused                 a source or target outside the configured locations

Two more are not errors but requests, and derive from BaseException so that `except Exception` lets them pass:
`CancelRequested` in a job that is to stop, `FailRequested` out of `ctx.fail`.
"""

from __future__ import annotations

from collections.abc import Sequence
from signal import SIGXFSZ
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from uuid import UUID

    from heavyjobs.model import Cause


class HeavyjobsError(Exception):
    """The root; its text is fit for people: where, what, what would do.

    Attributes:
        final: trying again is useless: a job that raises it is dead at once.
    """

    final: bool = False


class UsageError(HeavyjobsError):
    """The caller's mistake; nothing was changed, and trying again changes nothing: a job that raises it is dead at once."""

    final = True


class ConfigurationError(UsageError):
    """A configuration that cannot be used; says file, key, what is wrong and what would do."""


class JobDefinitionError(UsageError):
    """A job class that cannot work; raised when the class is made."""


class InvalidParameters(UsageError):
    """Parameters that do not fit their job class.

    Attributes:
        kind: the job's kind.
        problems: (field, reason) pairs, in the order of the fields; the field of nested values is dotted.
    """

    def __init__(self, kind: str, problems: Sequence[tuple[str, str]]) -> None:
        self.kind = kind
        self.problems = tuple(problems)
        super().__init__(f"{kind}: " + "; ".join(f"{field}: {reason}" for field, reason in problems))


class UnknownKind(UsageError):
    """No job class of that kind is known here; says which are, and which was probably meant."""


class Unstorable(UsageError):
    """A value that cannot be stored: not JSON, not Unicode, NUL, NaN, an integer past 64 bits, or too large."""


class KeyReused(UsageError):
    """A key that already names another child, or a child with other parameters; says the difference."""


class NotCommitted(UsageError):
    """The job was submitted in a transaction that is still open, so nobody can run it yet; commit first."""


class JobNotFound(UsageError):
    """No job has that id: never submitted, rolled back, or pruned."""


class AmbiguousId(UsageError):
    """Several jobs end in that tail; says some of them."""


class JobMismatch(UsageError):
    """A job of another kind than its handle says, or a stored result, status or error that does not fit the class any more."""


class WrongState(UsageError):
    """The state of the job does not allow that; nothing was changed."""


class StoreError(HeavyjobsError):
    """Something between us and the database."""


class StoreUnavailable(StoreError):
    """The database is away, locked, full or too slow.

    A write that raises this may or may not have happened: repeat it, every write may be repeated.
    """


class SchemaMismatch(StoreError):
    """The database's schema cannot be used by this release; nothing was touched. Says which side to upgrade."""


class SessionFenced(StoreError):
    """This coordinator was declared dead by another: all its claims are void.

    Stop every slot, drop what they hold, and start a new session.
    """


class ClaimLost(StoreError):
    """This coordinator no longer holds the invocation that it tried to change.

    Not a failure of the job: another coordinator has it. Stop the slot, drop the result.
    """


class JobEnded(HeavyjobsError):
    """Awaiting a result found a job that has none and will not get one.

    Attributes:
        job_id: whose.
        cause: how the last invocation ended, or that the job was cancelled while it waited; None only of a cancelled child.
    """

    def __init__(self, message: str, *, job_id: UUID, cause: Cause | None) -> None:
        self.job_id = job_id
        self._cause = cause
        super().__init__(message)

    @property
    def cause(self) -> Cause | None:
        return self._cause


@final
class JobDead(JobEnded):
    """The job will not be tried again.

    Attributes:
        error: the job type's own typed error, or None when it ended in another way.
        traceback: of the exception that ended it, as text; None when there was none.
        log_tail: the last lines of its log.
    """

    def __init__(self, message: str, *, job_id: UUID, cause: Cause, error: object, log_tail: Sequence[str] = ()) -> None:
        self.error = error
        self.log_tail = tuple(log_tail)
        self._known_cause = cause
        super().__init__(message, job_id=job_id, cause=cause)

    @property
    def cause(self) -> Cause:
        return self._known_cause

    @property
    def traceback(self) -> str | None:
        return self.cause.traceback


@final
class JobCancelled(JobEnded):
    """The job was cancelled before it had a result."""


class WorkError(HeavyjobsError):
    """Raised inside a job by the tools of its context."""


class ProgramFailed(WorkError):
    """A child program ended with a code other than 0, or by a signal.

    Attributes:
        argv: what was run.
        code: its exit code, or None when a signal ended it.
        signal: the signal's number, or None.
        tail: the last lines of the stream that was logged.
    """

    def __init__(self, argv: Sequence[str], *, code: int | None, signal: int | None, tail: Sequence[str]) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.signal = signal
        self.tail = tuple(tail)
        how = f"was killed by signal {signal}" if signal is not None else f"exited with code {code}"
        how = "wrote a file larger than it may (workers.file_size)" if signal == SIGXFSZ else how
        last = f": {self.tail[-1]}" if self.tail else ""
        super().__init__(f"{argv[0]} {how}{last}")


class TargetExists(WorkError):
    """The output is already there and was not to be replaced; it was not touched. A job that raises it is dead at once."""

    final = True


class PathRefused(WorkError):
    """A path or location that the configuration does not open to jobs. A job that raises it is dead at once."""

    final = True


class CancelRequested(BaseException):
    """Raised once in the main thread of a job that is to stop: clean up, then let it pass.

    Whether it will run again, so that what it has made may stay for that, says `ctx.runs_again(error)`.
    """


class FailRequested(BaseException):
    """How `ctx.fail` leaves the job; the context remembers it, so swallowing it changes nothing."""
