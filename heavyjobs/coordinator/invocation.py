"""One running invocation: what its worker says of it, and how it is stopped.

What it guarantees
- exactly one `End` comes out of it, unless the claim was lost: then nothing;
- a request to stop ends in the end of the whole tree, at the latest a second after the grace.

What it assumes
- one worker, which tells it `ended` or `gone` once; a desk (the session) that writes what it hands over.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final, Protocol

from heavyjobs import events
from heavyjobs.coordinator.logbuffer import LogBuffer
from heavyjobs.coordinator.verdict import verdict
from heavyjobs.coordinator.wants import Held, held_of
from heavyjobs.events import Ended, Stop
from heavyjobs.model import Bill, Ending, after
from heavyjobs.slots.bill import Account, Sample
from heavyjobs.slots.listener import Death
from heavyjobs.slots.process import WorkerProcess
from heavyjobs.store.records import Claimed, End, Progress
from heavyjobs.units import show_bytes, show_seconds
from heavyjobs.values import JsonText
from heavyjobs.waiting import first_of

LAST_WORDS_SECONDS: Final = 0.3
"""Between the dump of stacks and the end by force."""

STOPPED: Final = "stopped by a signal; it goes on when it is continued, a cancel ends it"
CONTINUED: Final = "it was continued, and goes on"

PENDING_MAX_BYTES: Final = 4 << 20
"""Log bytes waiting for the database above which the worker is not read any more."""


class Desk(Protocol):
    """What an invocation hands its news to."""

    @property
    def holds(self) -> bool:
        """Whether this session's claims hold by its own clock."""
        ...

    def out_of_memory_kills(self) -> int:
        """How often the kernel has killed for lack of memory by now."""
        ...

    def news(self, invocation: Invocation) -> None:
        """There is something to write."""
        ...

    def asked(self, invocation: Invocation, asked: events.Asked) -> None: ...

    def finished(self, invocation: Invocation, *, worn: bool) -> None:
        """Its worker is done with it; `end` is set, or None when the claim was lost."""
        ...

    def forgives(self, invocation: Invocation) -> bool:
        """Whether it is handed back although the lane went down with it, nobody being known to have done that."""
        ...

    def brought_down(self, worker: WorkerProcess, step: int) -> None:
        """The lane went down in a step of this one: those that spawned it, and run there, are to blame as well."""
        ...

    def forced(self, invocation: Invocation) -> None:
        """Its worker is about to be ended by force, for its sake alone."""
        ...


class Invocation:
    """Made when a job was claimed and a worker is there for it; `begin` starts it.

    Args:
        log_bytes: kept of its log; 0 keeps all.
        kills_before: how often the kernel had killed for lack of memory by then.
    """

    def __init__(self, claimed: Claimed, worker: WorkerProcess, desk: Desk, *, log_bytes: int, kills_before: int) -> None:
        self.claimed: Final = claimed
        self.worker: Final = worker
        self.log: Final = LogBuffer(claimed.claim, bound_bytes=log_bytes)
        self.account: Final = Account(worker.used)
        self.over: Final = asyncio.Event()
        self.stop: Stop | None = None
        self.end: End | None = None
        self.forgiven = False
        self.blamed = False
        self.dirty = False
        self.reference = 0
        self._desk = desk
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._started: float | None = None
        self._waits = 0
        self._waited_seconds = 0.0
        self._waits_since = 0.0
        self._status: JsonText | None = None
        self._told_status: JsonText | None = None
        self._kills_before = kills_before
        self._hurry = asyncio.Event()
        self._stopped = False

    def begin(self) -> None:
        """Hand the job to the worker."""
        job = self.claimed
        run = events.Run(
            job=job.claim.job,
            claim=job.claim.number,
            kind=job.kind,
            version=job.version,
            parameters=job.parameters,
            attempt=job.attempt,
            attempts=job.policy.attempts,
            epoch=job.epoch,
            depth=job.depth,
            queue=job.policy.queue,
            memory_bytes=job.policy.memory_bytes,
            checkpoint=job.checkpoint,
        )
        self.reference = self.worker.run(run, self)

    # -- what its worker says

    def started(self) -> None:
        self._started = self._now()
        if self.stop is not None:
            self.worker.cancel(self.reference, self.stop)  # the first request may have come before the worker knew of the job
        self._news()

    def status(self, status: JsonText) -> None:
        self._status = status
        self._news()

    def line(self, line: bytes) -> None:
        self.log.add(line)
        if self.log.pending_bytes > PENDING_MAX_BYTES:
            self.worker.pause()
        self._news()

    def asked(self, asked: events.Asked) -> None:
        self._desk.asked(self, asked)

    def blocks(self) -> None:
        self.log.remark("one of its steps holds up all others on the lane; the stacks:")

    def ended(self, ended: Ended) -> None:
        if self.worker.lane and ended.ending is Ending.CANCELLED and self.stop is None:
            # Cancelled by nobody of ours: by a neighbour that stopped the loop, or by itself.
            self.forgiven = self._desk.forgives(self)
        self._close(ended, worn=ended.worn)

    def gone(self, death: Death) -> None:
        if death.blameless:
            self.forgiven = self.stop is None and self._desk.forgives(self)
        elif self.worker.lane and self.worker.running > 1:
            self._desk.brought_down(self.worker, death.step)
            if death.step != self.reference and not self.blamed:
                self.forgiven = death.step != 0 or self.stop is not None or self._desk.forgives(self)
        self._close(death, worn=True)

    # -- stopping it

    async def halt(self, why: Stop, *, grace_seconds: float) -> None:
        """Stop it: ask, wait for the grace, dump the stacks, end the tree. Returns when it is over.

        A second call without grace ends the first one's.
        """
        if self.stop is not None:
            if grace_seconds <= 0:
                self.hurry()
            await self.over.wait()
            return
        self.stop = why
        self.log.remark(f"stopping: {why}; {show_seconds(grace_seconds)} of grace", level=20)
        if grace_seconds > 0:
            self.worker.cancel(self.reference, why)
            await first_of(self.over, self._hurry, seconds=grace_seconds)
        if not self.over.is_set():
            await self._force()

    def cancelled_as_well(self) -> None:
        """It is stopping for another reason, after which it would run again, and now will not: what it keeps is of no use."""
        self.stop = Stop.CANCEL
        self.log.remark(f"stopping: {Stop.CANCEL} as well", level=20)
        self._news()
        self.worker.cancel(self.reference, Stop.CANCEL)

    def hurry(self) -> None:
        """Take back what is left of its grace."""
        self._hurry.set()

    async def _force(self) -> None:
        self.log.remark("it has not stopped: its stacks, before it is ended by force")
        self.worker.dump()
        await first_of(self.over, seconds=LAST_WORDS_SECONDS)
        if not self.over.is_set():
            self._desk.forced(self)
            swept = await self.worker.end()
            if swept.left:
                self.log.remark(f"cannot be ended: {', '.join(swept.left)}")

    # -- waiting for children, bounds

    @property
    def waiting(self) -> bool:
        """Whether it waits for children; an `async def` may do so several times at once."""
        return self._waits > 0

    def wait_begins(self) -> None:
        if not self.waiting:
            self._waits_since = self._now()
        self._waits += 1

    def wait_ends(self) -> None:
        self._waits -= 1
        if not self.waiting:
            self._waited_seconds += self._now() - self._waits_since

    def stands_still(self, seconds: float) -> None:
        """It could not go on for so long, through no fault of its own: its timeout waits, unless that does not pass anyway."""
        if self._started is not None and not self.waiting:
            self._waited_seconds += seconds

    def held(self) -> Held:
        return held_of(self.claimed, lane=self.worker.lane, waiting=self.waiting)

    def overdue(self) -> bool:
        """Whether its timeout has passed; the time it waited for children, or stood still, does not count."""
        timeout = self.claimed.policy.timeout_seconds
        if timeout is None or self._started is None or self.waiting or self.stop is not None:
            return False
        return self._now() - self._started - self._waited_seconds > timeout

    def sampled(self, sample: Sample) -> bool:
        """Take in what its tree uses; whether that is more memory than it may."""
        self.account.add(sample)
        self._news()
        limit = self.claimed.policy.memory_bytes
        if limit is None or sample.memory_bytes <= limit or self.stop is not None:
            return False
        self.log.remark(f"uses {show_bytes(sample.memory_bytes)} of memory, more than its {show_bytes(limit)}")
        return True

    def stopped(self, stopped: bool) -> str | None:  # noqa: FBT001 - a fact of a sample
        """Take in whether its worker is stopped; what is new about that, and in its log, if anything is."""
        if stopped is self._stopped or self.stop is not None:
            return None  # one that is being ended is stopped for that
        self._stopped = stopped
        news = STOPPED if stopped else CONTINUED
        self.log.remark(news)
        self._news()
        return news

    # -- what is to be written

    def progress(self) -> Progress:
        """Its news since the last call, with the bill so far."""
        self.dirty = False
        return self._progress(self.account.bill(self._now() - self._began))

    def _progress(self, bill: Bill) -> Progress:
        status = self._status if self._status is not self._told_status else None
        self._told_status = self._status
        return Progress(
            claim=self.claimed.claim,
            slot=self.worker.name,
            started_ago_seconds=None if self._started is None else self._now() - self._started,
            status=status,
            bill=bill,
        )

    def _news(self) -> None:
        if not self.dirty:
            self.dirty = True
            self._desk.news(self)

    def _close(self, came: Ended | Death, *, worn: bool) -> None:
        own = came.bill if isinstance(came, Ended) else None
        bill = self.account.bill(self._now() - self._began, own)
        if isinstance(came, Death) and not self._desk.holds:
            # Ended with all others because the lease has lapsed: whoever takes the job back says how it ended.
            self.stop = Stop.LOST
        if self.stop is not Stop.LOST:
            self.end = self._end(came, bill)
        self.over.set()
        # It may have been paused at one of this one's last lines, and nobody else would have it read again.
        self.worker.resume()
        self._desk.finished(self, worn=worn)

    def _end(self, came: Ended | Death, bill: Bill) -> End:
        job = self.claimed
        found = verdict(
            came,
            stop=self.stop,
            policy=job.policy,
            bill=bill,
            out_of_memory=isinstance(came, Death) and self._desk.out_of_memory_kills() > self._kills_before,
            forgiven=self.forgiven,
            blamed=self.blamed,
        )
        move = after(
            found.ending,
            started=self._started is not None,
            attempt=job.attempt,
            unstarted=job.unstarted,
            policy=job.policy,
            retry=found.retry,
            jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
        )
        if found.cause:
            self.log.remark(found.cause.message, level=20 if found.ending is Ending.HANDED_BACK else 40)
        self.log.close()
        return End(
            progress=self._progress(bill),
            ending=found.ending,
            move=move,
            result=found.result,
            error=found.error,
            cause=found.cause,
            log_dropped_lines=self.log.dropped_lines,
        )
