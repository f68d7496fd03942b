"""Follow one job: its updates from a cursor to its end, and its log.

Of each look at the job comes, in this order: what is left of the logs of earlier invocations; that it runs; its latest status;
the log of the newest invocation; that it does not run any more. So the last lines come before the outcome, and everything about
an invocation after the news that it began.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Generic
from uuid import UUID

from heavyjobs.client.logreading import lines, older_lines
from heavyjobs.client.updates import Idle, Logged, Position, Reported, StateChanged, Update
from heavyjobs.errors import StoreUnavailable
from heavyjobs.model import JobState, LogLine, S
from heavyjobs.store.patience import Patience
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import Brief
from heavyjobs.store.watching import Watcher, not_found
from heavyjobs.values import JsonText


class Stream(Generic[S]):
    """The updates of one job from a position on."""

    def __init__(self, store: Store, job: UUID, *, position: Position, read_status: Callable[[JsonText], S]) -> None:
        self._store: Final = store
        self._job: Final = job
        self._position: Final = position
        self._read_status: Final = read_status

    async def updates(self, watcher: Watcher, *, idle_seconds: float | None) -> AsyncGenerator[Update[S], None]:
        """All updates up to the end of the job, and `Idle` whenever nothing came for `idle_seconds`."""
        with watcher.subscribe(self._job) as news:
            while True:
                brief = await news.next(idle_seconds)
                if brief is None:
                    yield Idle(self._position.cursor)
                    continue
                async for update in self._patiently(brief):
                    yield update
                if brief.state.ended:
                    return

    async def _patiently(self, brief: Brief) -> AsyncGenerator[Update[S], None]:
        """Catch up, however often the database goes away meanwhile: what was given is not given again."""
        patience = Patience()
        while True:
            try:
                async for update in self.catch_up(brief):
                    yield update
                    patience.renew()
            except StoreUnavailable:
                await patience.wait()
            else:
                return

    async def catch_up(self, brief: Brief) -> AsyncGenerator[Update[S], None]:
        """What happened between the position and the brief, which becomes the position."""
        at, running = self._position, brief.state is JobState.RUNNING
        async for line in older_lines(self._store, brief, claim=at.log_claim, first=at.log_line):
            yield self._logged(line)
        if at.log_claim < brief.claim:
            at.log_claim, at.log_line, at.status = brief.claim, 0, ""
        if running and at.moves_to(brief):
            yield StateChanged(brief.state, brief.epoch, brief.claim, at.cursor)
        if at.hears(brief.status) and brief.status is not None:
            yield Reported(self._read_status(brief.status), at.cursor)
        if at.log_claim == brief.claim and at.log_line < brief.log_lines:
            async for line in lines(self._store, self._job, claim=brief.claim, first=at.log_line):
                yield self._logged(line)
        if not running and at.moves_to(brief):
            yield StateChanged(brief.state, brief.epoch, brief.claim, at.cursor)

    def _logged(self, line: LogLine) -> Logged:
        self._position.log_claim, self._position.log_line = line.claim, line.number + 1
        return Logged(
            line.claim,
            line.number,
            line.time,
            line.source,
            line.level,
            line.text,
            line.continued,
            cursor=self._position.cursor,
        )


async def log(store: Store, watcher: Watcher, job: UUID, *, claim: int | None, follow: bool) -> AsyncGenerator[LogLine, None]:
    """The log of one invocation or of all; with `follow` until the invocation or the job has ended and everything was shown."""
    stream = Stream(store, job, position=Position(log_claim=claim or 1), read_status=str)
    if follow:
        updates = stream.updates(watcher, idle_seconds=None)
    elif brief := (await store.briefs([job])).get(job):
        updates = stream.catch_up(brief)
    else:
        raise not_found(job)
    async with aclosing(updates):
        async for update in updates:
            if claim is not None and _beyond(update, claim):
                return
            if isinstance(update, Logged):
                yield update


def _beyond(update: Update[str], claim: int) -> bool:
    """Whether nothing of that invocation can come any more."""
    match update:
        case Logged():
            return update.claim > claim
        case StateChanged(state):
            return update.claim > claim or (update.claim == claim and state is not JobState.RUNNING)
        case _:
            return False
