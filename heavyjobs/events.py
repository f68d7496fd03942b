"""What a worker and its coordinator say over the worker's pipe, and the frames that carry it.

A frame is a header (length of the body, code, reference) and a body of JSON. The reference is the number of the invocation on
that worker, so that one pipe can carry many (the async lane). Frames are read without blocking and have a largest size; nothing
is ever unpickled.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Annotated, Final, Literal, TypeAlias, TypeVar
from uuid import UUID

from pydantic import AfterValidator, Discriminator, TypeAdapter, ValidationError

from heavyjobs.errors import HeavyjobsError
from heavyjobs.model import Bill, Ending, JobState, Policy
from heavyjobs.values import NULL, JsonText, checked

HEADER: Final = struct.Struct("!IBI")
FRAME_MAX_BYTES: Final = 8 << 20
"""From a worker: above any bounded body, a result of 1 MiB can grow sixfold when it is quoted."""

ANSWER_MAX_BYTES: Final = 1 << 30
"""To a worker, which trusts its coordinator: the results of `ENDS_MAX` children."""

CHILDREN_MAX: Final = 500
"""In one request to spawn; their parameters together take at most `SPAWN_MAX_BYTES`, or there is just one."""

SPAWN_MAX_BYTES: Final = 1 << 20
ENDS_MAX: Final = 50
"""Children in one request to read how they ended."""

FIND_MAX: Final = 100
"""Jobs in one request to find those that have ended."""

KEY_MAX_BYTES: Final = 500


class Stop(StrEnum):
    """Why an invocation is asked to stop."""

    CANCEL = "cancel requested"
    TIMEOUT = "its timeout has passed"
    MEMORY = "it uses more memory than it may"
    DRAIN = "this coordinator drains"
    NEIGHBOUR = "the lane it ran on was ended"
    LOST = "another coordinator has the job now"


Checked: TypeAlias = Annotated[JsonText, AfterValidator(checked)]
"""JSON from a worker, where any code may have written to the pipe."""


class Code(IntEnum):
    # from the worker
    HELLO = 1  # once: the worker is warm
    STARTED = 2  # run() is about to be called
    STATUS = 3  # the body is the status itself
    LOG = 4  # the body is one line, as heavyjobs.logs encodes it
    ASK = 5  # an Asked; the worker waits for the answer
    ENDED = 6  # an Ended, after which nothing more comes with that reference
    PONG = 7
    # to the worker
    RUN = 16  # a Run
    ANSWER = 17  # an Answer
    CANCEL = 18  # lane only, the body is a Stop: slots are told by a signal, and why through shared memory
    PING = 19


class BrokenFrame(HeavyjobsError):
    """What came over the pipe is no frame of ours: a worker that is not to be trusted any more."""


def frame(code: Code, reference: int, body: bytes = b"") -> bytes:
    return HEADER.pack(len(body), code, reference) + body


class FrameReader:
    """Cuts a stream of bytes into frames, however the bytes arrive."""

    def __init__(self, *, most: int = FRAME_MAX_BYTES) -> None:
        self._most = most
        self._buffer = bytearray()
        self._position = 0

    def feed(self, data: bytes) -> None:
        del self._buffer[: self._position]
        self._position = 0
        self._buffer += data

    @property
    def wanting(self) -> bool:
        """Whether part of a frame is there, and the rest of it is not."""
        return self._position < len(self._buffer)

    def next(self) -> tuple[int, int, bytes] | None:
        """Code, reference and body of the next whole frame; None until more was fed.

        Raises:
            BrokenFrame: a body larger than `most` is announced.
        """
        start = self._position + HEADER.size
        if len(self._buffer) < start:
            return None
        length, code, reference = HEADER.unpack_from(self._buffer, self._position)
        if length > self._most:
            raise BrokenFrame(f"a frame of {length} bytes was announced; the most is {self._most}")
        if len(self._buffer) < start + length:
            return None
        self._position = start + length
        return code, reference, bytes(self._buffer[start : self._position])


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run this job now."""

    job: UUID
    claim: int
    kind: str
    version: int
    parameters: JsonText
    attempt: int
    attempts: int
    epoch: int
    depth: int
    queue: str
    memory_bytes: int | None
    checkpoint: JsonText | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an invocation ended by the worker's word.

    Attributes:
        ending: succeeded, failed, raised, out_of_memory or cancelled.
        retry: False when the job said that trying again is useless.
        result: with succeeded. error: with failed.
        message, type, traceback: with every other ending.
        bill: what it used by the worker's own account: exact, but without children that nobody waited for.
        so_far: what the worker has used in all its life: where the next invocation's account begins.
        worn: the worker should not be used again: it has done enough, grown too large, or a thread of the job lives on.
    """

    ending: Ending
    retry: bool = True
    result: Checked | None = None
    error: Checked | None = None
    message: str = ""
    type: str | None = None
    traceback: str | None = None
    bill: Bill = field(default_factory=Bill)
    so_far: Bill = field(default_factory=Bill)
    worn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What the processes that run user code may be, see and use; None leaves a thing as the coordinator has it.

    Attributes:
        user, group: whom they run as; the group is that user's own by default, other groups of the user come along.
        environment: names of variables that they see beside what every program needs; a trailing * stands for any ending.
        processes: the most that this user may have, whoever started them.
        file_size_bytes: of a file that they write; open_files: at once, in one process.
    """

    user: str | None = None
    group: str | None = None
    environment: tuple[str, ...] = ()
    processes: int | None = None
    file_size_bytes: int | None = None
    open_files: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What a worker must know before its first job.

    Attributes:
        marker: stands in the environment of all that it starts.
        modules: define the job types; imported in the worker. path: folders put on `sys.path` first.
        locations, plain_paths: as in `heavyjobs.locations`.
        recycle_after: invocations until the worker is worn; recycle_memory_bytes: resident size above which it is.
        confinement: one for all workers of a process.
    """

    marker: str
    modules: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    locations: dict[str, str] = field(default_factory=dict[str, str])
    plain_paths: bool = True
    recycle_after: int = 1000
    recycle_memory_bytes: int = 1 << 30
    confinement: Confinement = Confinement()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChild:
    """A job that a job spawns; `key` tells it apart among its siblings, over re-runs too."""

    key: str
    kind: str
    version: int
    parameters: Checked
    policy: Policy


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Keep this for the next attempt. Answered with null once it is stored."""

    data: Checked
    verb: Literal["checkpoint"] = "checkpoint"


@dataclass(frozen=True, slots=True)
class Spawn:
    """Submit children. Answered with their ids, in the same order."""

    children: tuple[NewChild, ...]
    verb: Literal["spawn"] = "spawn"


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until all have ended, or with `first_death` until one is dead or cancelled.

    Answered with a list of `ChildState`, of those that have ended by then.
    """

    jobs: tuple[UUID, ...]
    first_death: bool
    verb: Literal["await"] = "await"


@dataclass(frozen=True, slots=True)
class ReadEnds:
    """How these children, which have ended, did. Answered with a list of `ChildEnd`, in the same order."""

    jobs: tuple[UUID, ...]
    verb: Literal["read"] = "read"


@dataclass(frozen=True, slots=True)
class ReadStatuses:
    """The latest statuses of these children. Answered with a list of them as JSON texts, in the same order, null for none."""

    jobs: tuple[UUID, ...]
    verb: Literal["statuses"] = "statuses"


@dataclass(frozen=True, slots=True)
class CancelJobs:
    """Cancel these children. Answered with null."""

    jobs: tuple[UUID, ...]
    verb: Literal["cancel"] = "cancel"


@dataclass(frozen=True, slots=True)
class Confirm:
    """Is the claim still held? Asked before an output is published. Answered with true, or refused."""

    verb: Literal["confirm"] = "confirm"


@dataclass(frozen=True, slots=True)
class FindOver:
    """Which of these jobs, whoever's, have ended? Answered with a list of `JobOver`; unknown ones are not in it."""

    jobs: tuple[UUID, ...]
    verb: Literal["over"] = "over"


Request: TypeAlias = Annotated[
    Checkpoint | Spawn | Await | ReadEnds | ReadStatuses | CancelJobs | Confirm | FindOver, Discriminator("verb")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, numbered within its worker so that its answer is told from one that came too late."""

    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class ChildState:
    """That an awaited child has ended, and in which state."""

    job: UUID
    state: JobState


@dataclass(frozen=True, slots=True)
class JobOver:
    """That a job had ended, and its claim number and epoch then: it may have been sent again since."""

    job: UUID
    claim: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnd:
    """How an awaited child ended; `ending` and `message` come from its cause."""

    job: UUID
    state: str
    result: JsonText | None
    error: JsonText | None
    ending: Ending | None
    message: str
    traceback: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """To the request of that number: its value as JSON, or why it was refused."""

    number: int
    value: JsonText = NULL
    refused: str | None = None
    refusal: str = "HeavyjobsError"
    """Name of the error in `heavyjobs.errors` to raise."""


T = TypeVar("T")
ASKED: Final = TypeAdapter(Asked)
RUN: Final = TypeAdapter(Run)
WORKER_OPTIONS: Final = TypeAdapter(WorkerOptions)
CONFINEMENT: Final = TypeAdapter(Confinement)
ENDED: Final = TypeAdapter(Ended)
ANSWER: Final = TypeAdapter(Answer)
CHILD_IDS: Final = TypeAdapter(list[UUID])
CHILD_STATES: Final = TypeAdapter(list[ChildState])
CHILD_ENDS: Final = TypeAdapter(list[ChildEnd])
JOBS_OVER: Final = TypeAdapter(list[JobOver])
CHILD_STATUSES: Final = TypeAdapter(list[JsonText | None])


def read(adapter: TypeAdapter[T], body: bytes | str) -> T:
    """Read a body.

    Raises:
        BrokenFrame: it is not what its code says.
    """
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise BrokenFrame(f"a frame that cannot be read: {error.errors(include_url=False)[0]['msg']}") from None
