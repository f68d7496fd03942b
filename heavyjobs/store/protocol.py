"""What a database must do for heavyjobs: coarse verbs, each atomic, each safe to repeat.

`heavyjobs.testing.conformance` is the suite that says whether an implementation does; SQLite and PostgreSQL both run it.

Every store guarantees
- that each verb is one transaction, done whole or not at all, and that repeating it after `StoreUnavailable` is harmless;
- that no two callers of `claim` ever receive the same job for the same claim number, and that claim numbers only grow;
- that a write about an invocation takes effect only while that claim is live and its session unfenced;
- that a job's log rows are readable no later than its outcome.

Every store assumes
- that JSON was made by `heavyjobs.values.encode` and log text by `heavyjobs.values.visible`: no NUL, no lone surrogate;
- that ids (jobs, sessions) are made by the caller before the first try.

Times that matter are the database's; callers speak of them only as seconds from now or seconds ago.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self
from uuid import UUID

from heavyjobs.model import (
    ClaimKey,
    CoordinatorRecord,
    InvocationRecord,
    JobRecord,
    Session,
)
from heavyjobs.store.records import (
    Brief,
    CancelAnswer,
    Changes,
    Checked,
    Claimed,
    End,
    Filter,
    LogChunk,
    NewJob,
    Progress,
    Recorded,
    Submitted,
    Tick,
    Topic,
    WakeUp,
    Want,
)
from heavyjobs.values import JsonText


class Store(Protocol):
    """A database behind one set of verbs. Every verb may raise `StoreUnavailable`; then repeat it."""

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        ...

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            StoreUnavailable: the database cannot be reached or used; says where, what and what would do.
        """
        ...

    async def __aexit__(self, *exc_info: object) -> None: ...

    # -- schema

    async def migrate(self) -> tuple[int, int]:
        """Bring the schema to this release's version; several callers at once are fine.

        Returns:
            The versions before and after; before is 0 where there was nothing.

        Raises:
            SchemaMismatch: the schema is newer than this release can use.
        """
        ...

    async def check_schema(self) -> None:
        """Make sure that this release can work on the schema.

        Raises:
            SchemaMismatch: there is none, or it is too old (migrate), or too new (upgrade heavyjobs).
        """
        ...

    # -- the life of a job

    async def submit(self, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        """Insert all, in one round trip and one transaction, with one wake-up; answers in the same order.

        Raises:
            Unstorable: a name too long or a number too large for some store (`heavyjobs.store.limits`); nothing was inserted.
        """
        ...

    async def spawn(self, session: UUID, claim: ClaimKey, children: Sequence[NewJob]) -> Sequence[Submitted]:
        """Insert children of a running job, in one transaction; those whose key the parent used before are found.

        Inserted only while the claim is live, its session unfenced and no cancel requested, so that a cancel or an end of the
        parent finds either all of the children or none. A child that is found dead or cancelled, and was last spawned under an
        earlier claim of its parent, is sent again: next epoch, fresh budget, `ready`, its checkpoint kept. So a parent that is
        tried again tries its children again, and a child that dies under this claim stays dead under it; so does one whose
        unique key another live job has, or takes at the same moment.

        Args:
            children: each with the claim's job as its `parent`, and a `child_key`.

        Raises:
            ClaimLost: nothing was inserted or changed.
            Unstorable: as `submit`.
        """
        ...

    async def submit_within(self, connection: object, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        """Insert inside the transaction of the caller's own connection: no retry, no commit; the wake-up goes with it.

        Raises:
            UsageError: the connection is not one of this database's kind; says which would do.
            Unstorable: as `submit`.
        """
        ...

    def submit_within_sync(self, connection: object, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        """The same on a blocking connection, in the calling thread."""
        ...

    async def promote(self, *, limit: int) -> tuple[int, float | None]:
        """Make up to `limit` due jobs ready, longest due first.

        Returns:
            How many moved, and seconds until it is worth to come again, when the next is due; None when none is scheduled. 0 or
            less says that more are due now, which is said only when some moved: a caller that heeds it never spins.
        """
        ...

    async def claim(
        self, session: UUID, wants: Sequence[Want], *, cpus: float, memory_bytes: int, host: str
    ) -> Sequence[Claimed]:
        """Take ready jobs that fit: highest priority first, then deepest in its family, then oldest.

        One transaction: each job becomes `running`, its claim number grows by one, and an invocation row opens. Two callers
        never receive the same job. Of each line at most its room is taken, and of all together at most `cpus` and
        `memory_bytes`; a job that asks for more than is left is passed over. A bounded number of rows is looked at.

        Returns:
            In the order they should start; empty when nothing fits.

        Raises:
            SessionFenced: nothing was claimed.
            StoreUnavailable: something may have been claimed; `held` tells.
        """
        ...

    async def held(self, session: UUID) -> Sequence[Claimed]:
        """All that the session holds by the database's word; for finding claims whose answer was lost."""
        ...

    async def checkpoint(self, session: UUID, claim: ClaimKey, data: JsonText) -> None:
        """Keep what the next invocation may resume from.

        Raises:
            ClaimLost: nothing was kept.
        """
        ...

    async def holds(self, session: UUID, claim: ClaimKey) -> bool:
        """Whether the claim is live and its session unfenced at this moment; asked before an output is published."""
        ...

    async def record(
        self, session: UUID, *, progress: Sequence[Progress], logs: Sequence[LogChunk], ends: Sequence[End]
    ) -> Recorded:
        """Write what invocations did since the last time: one transaction, durable when it holds an `End`, one wake-up.

        Ends close their invocation row, move the job, free its unique key, cancel the live descendants of a job that is dead
        or cancelled, and wake those who wait. No row changed is read back before it is called lost.

        Raises:
            SessionFenced: nothing was written.
        """
        ...

    async def cancel(self, jobs: Collection[UUID], *, grace_seconds: float | None = None) -> dict[UUID, CancelAnswer]:
        """Cancel jobs and all their live descendants: what waits is cancelled at once, what runs is asked to stop.

        The cause of what waited says so; of what runs, it is the one that its end is recorded with.

        Returns:
            For each of `jobs` that exists, what happened; descendants are not listed.
        """
        ...

    async def cancel_children(self, session: UUID, claim: ClaimKey, jobs: Collection[UUID]) -> None:
        """Cancel children of a running job, as `cancel` does, while the claim is live and its session unfenced.

        The children are those of the next claim too, which may have sent them again: a claim that is over cancels none. Jobs
        that are no children of it are left as they are.

        Raises:
            ClaimLost: nothing was cancelled.
        """
        ...

    async def retry(self, job: UUID, *, fresh: bool = False) -> JobRecord:
        """Send a dead or cancelled job again: next epoch, fresh budget, `ready`. The checkpoint stays unless `fresh`.

        Raises:
            JobNotFound, WrongState: it is waiting, running, has succeeded, or its unique key is taken; nothing was changed.
        """
        ...

    async def update(self, job: UUID, changes: Changes) -> JobRecord:
        """Change a job that has not ended; what runs now keeps what it was started with.

        Raises:
            JobNotFound, WrongState: it has ended, or it runs and the delay was to change.
            Unstorable: a value that some store cannot hold; nothing was changed.
        """
        ...

    # -- sessions

    async def register(self, session: Session) -> None:
        """Open a session; repeating it updates `kinds`, `queues` and `problems`."""
        ...

    async def tick(self, session: UUID, held: Collection[ClaimKey]) -> Tick:
        """Give the session's regular word, and learn what concerns it. One round trip.

        Raises:
            SessionFenced: declared dead by another, or ended.
        """
        ...

    async def forfeit(self, observer: UUID, *, session: UUID, tick: int, jitter: float) -> Sequence[ClaimKey] | None:
        """Declare a silent session dead and move its jobs on, in one transaction.

        Only if its tick number is still `tick`, and the observer itself is unfenced. Each job moves as
        `heavyjobs.model.after(Ending.FORFEITED, …)` says, or to `cancelled` when a cancel was requested.

        Returns:
            The claims that were taken back; None when the session had ticked, ended or been fenced meanwhile.

        Raises:
            SessionFenced: the observer itself was declared dead; nothing was changed.
        """
        ...

    async def end_session(self, session: UUID) -> None:
        """Close a session that holds nothing any more; one that still does stays open, so that it is forfeited in time."""
        ...

    async def drain(self, sessions: Collection[UUID]) -> None:
        """Ask sessions to drain; they learn it at their next tick, which this hurries."""
        ...

    # -- reading

    async def get(self, job: UUID) -> JobRecord | None: ...

    async def get_many(self, jobs: Collection[UUID]) -> dict[UUID, JobRecord]: ...

    async def find(self, tail: str, *, limit: int = 5) -> Sequence[UUID]:
        """Ids whose hexadecimal digits end in `tail` (dashes ignored), newest first."""
        ...

    async def list(self, which: Filter) -> Sequence[JobRecord]:
        """Newest first.

        Raises:
            Unstorable: a name that no job can have.
        """
        ...

    async def briefs(self, jobs: Collection[UUID]) -> dict[UUID, Brief]:
        """Where many jobs stand, in one statement; those not found are left out."""
        ...

    async def invocations(self, job: UUID) -> Sequence[InvocationRecord]:
        """Oldest first."""
        ...

    async def logs(self, job: UUID, *, claim: int, first: int, limit_chunks: int = 64) -> Sequence[LogChunk]:
        """Chunks of one invocation that hold line `first` or later lines, in order, none left out between."""
        ...

    async def log_rows(self, job: UUID, *, claim: int, first: int, limit_rows: int = 1000) -> Sequence[tuple[int, int]]:
        """`(first line, lines)` of the chunks of one invocation that begin at line `first` or later, in order, as they are.

        For those who hold a log against its count, and need not carry what it says.
        """
        ...

    async def coordinators(self, *, ended: bool = False) -> Sequence[CoordinatorRecord]:
        """Live sessions, or with `ended` also the others, newest first."""
        ...

    async def health(self, *, whole: bool = False) -> Sequence[Checked]:
        """What is to be said of this database beside its contents; changes nothing, and reads all of it only with `whole`."""
        ...

    # -- wake-ups

    def wakeups(self, topics: Collection[Topic]) -> AbstractAsyncContextManager[AsyncIterator[WakeUp]]:
        """Hints from now on, coalesced. After an interruption one without keys comes for each topic.

        With `notify` off nothing ever comes, and the caller's own polling does the work.
        """
        ...
