"""What can be wrong with the work itself, as values that callers can act on: what, where in the input, what would do.

Helpers raise `Stopped` with one of them; `typed` around a job's work turns that, and what the context's tools raise, into the
job's own typed failure. Everything else stays an exception, which is retried.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias

from pydantic import BaseModel, Discriminator

from heavyjobs.context import AsyncContext, Context
from heavyjobs.errors import HeavyjobsError, TargetExists
from heavyjobs.jobs.progress import Progress
from heavyjobs.values import visible


class _Trouble(BaseModel):
    """In every one of them: what is wrong, where in the input or output, and what would do."""

    what: str
    where: str
    would_do: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.would_do}"


class SourceMissing(_Trouble):
    """The source is not there, cannot be read, or is not of the sort that the job takes."""

    reason: Literal["source_missing"] = "source_missing"


class SourceChanged(_Trouble):
    """The source changed while it was read. Tried again."""

    reason: Literal["source_changed"] = "source_changed"


class Unreadable(_Trouble):
    """The source is damaged, truncated, encrypted, or not what it should be."""

    reason: Literal["unreadable"] = "unreadable"


class Refused(_Trouble):
    """Something is not let through: a name that escapes, a device, a location that is not open to jobs, more than a cap."""

    reason: Literal["refused"] = "refused"


class TargetTaken(_Trouble):
    """The target exists, and was not to be overwritten; it was not touched."""

    reason: Literal["target_taken"] = "target_taken"


class TargetUnusable(_Trouble):
    """Nothing can be written there: no such folder, or a name that does not say a known format."""

    reason: Literal["target_unusable"] = "target_unusable"


class OutputWrong(_Trouble):
    """The output was checked and is not what it should be, so it was not published. Tried again."""

    reason: Literal["output_wrong"] = "output_wrong"


class ChunksUnsound(_Trouble):
    """Chunks that a manifest names are missing, or are not what their names say.

    Attributes:
        missing_chunks, damaged_chunks: how many of those that were looked at. missing, damaged: the first of each, as digests.
    """

    reason: Literal["chunks_unsound"] = "chunks_unsound"
    missing_chunks: int
    damaged_chunks: int
    missing: list[str]
    damaged: list[str]


class NotInstalled(_Trouble):
    """A package or program is missing on this host. Tried again: another host may have it."""

    reason: Literal["not_installed"] = "not_installed"


class Stalled(_Trouble):
    """A program stood still for so long that it was ended. Tried again: a disk or a network may have been the reason."""

    reason: Literal["stalled"] = "stalled"


class StorageAway(_Trouble):
    """A server stalls, resets or says that it has trouble, and did so for minutes. Tried again, from where it was."""

    reason: Literal["storage_away"] = "storage_away"


class Different(_Trouble):
    """What was compared is not the same.

    Attributes:
        missing: in the target. extra: only in the target. changed: in both, with other bytes. names: some of them.
    """

    reason: Literal["different"] = "different"
    missing: int
    extra: int
    changed: int
    names: list[str]


AnyTrouble: TypeAlias = (
    SourceMissing
    | SourceChanged
    | Unreadable
    | Refused
    | TargetTaken
    | TargetUnusable
    | OutputWrong
    | ChunksUnsound
    | NotInstalled
    | Stalled
    | StorageAway
    | Different
)
Trouble: TypeAlias = Annotated[AnyTrouble, Discriminator("reason")]
"""The error type of the job types in the box."""

SHOWN_MAX_CHARS: Final = 400
"""Of a name in a status, an error or the log; a tar may hold names of megabytes."""

RETRIED: Final = (SourceChanged, OutputWrong, NotInstalled, Stalled, StorageAway)
_SPOILT: Final = (SourceChanged, OutputWrong)


class Stopped(HeavyjobsError):
    """How trouble leaves the helpers of a job."""

    def __init__(self, trouble: AnyTrouble) -> None:
        self.trouble = trouble
        self.final = not isinstance(trouble, RETRIED)
        super().__init__(str(trouble))


def stop(kind: Callable[..., AnyTrouble], what: str, *, where: str | Path, would_do: str) -> NoReturn:
    """Raise `Stopped`; names may be any that a file system holds."""
    raise Stopped(kind(what=visible(what), where=shown(where), would_do=visible(would_do))) from None


def shown(name: str | Path) -> str:
    """A name as it can be stored, logged and read by people: on one line, without control characters, not too long."""
    text = str(name)
    if len(text) <= SHOWN_MAX_CHARS and text.isascii() and text.isprintable():
        return text  # nearly all
    text = visible(text)
    if len(text) > SHOWN_MAX_CHARS:
        text = f"{text[: SHOWN_MAX_CHARS // 2]}…{text[-SHOWN_MAX_CHARS // 2 :]}"
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_of_use(ctx: Context[Any, Any] | AsyncContext[Any, Any], error: BaseException) -> bool:
    """Whether another run can go on with what is finished by now: there will be one, and nothing of it is what went wrong."""
    spoilt = isinstance(error, Stopped) and isinstance(error.trouble, _SPOILT)
    return not spoilt and ctx.runs_again(error)


@contextmanager
def typed(ctx: Context[Progress, Trouble] | AsyncContext[Progress, Trouble], *, target: str) -> Generator[None]:
    """Fail the job with its typed error when the block stops for a reason that has one."""
    try:
        yield
    except Stopped as stopped:
        ctx.fail(stopped.trouble, retry=not stopped.final)
    except TargetExists:  # it came while the job worked
        taken = TargetTaken(what="exists", where=shown(target), would_do="use another target, or set overwrite")
        ctx.fail(taken, retry=False)
