"""What must hold in every world: at each step, and at its end."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import orjson

from heavyjobs import history
from heavyjobs.model import Cancelled, ClaimKey, Dead, JobState, Session, Succeeded
from heavyjobs.store.records import CancelAnswer, End, Recorded
from heavyjobs.testing.reference import ReferenceDatabase
from tests.simulation.bodies import Record
from tests.simulation.computers import Computer
from tests.simulation.customers import Orders
from tests.simulation.loop import ProcessLoop
from tests.simulation.stores import Call
from tests.simulation.timing import FASTEST, FORFEIT_AFTER_SECONDS, LEASE_SECONDS, SLOWEST
from tests.simulation.world import World

LISTENING_SECONDS: Final = 2 * LEASE_SECONDS / SLOWEST + 1.0
"""In so long before it declares somebody dead, an observer has had at least two ticks."""

STOPPED_WITHIN_SECONDS: Final = 8.0
"""The longest grace, the time that ending takes, a tick and some writing."""


class Checks:
    """Looks on, and says what is broken."""

    def __init__(self, world: World, database: ReferenceDatabase, record: Record, orders: Orders) -> None:
        self._world: Final = world
        self._database: Final = database
        self._record: Final = record
        self._orders: Final = orders
        self._cancelled: dict[UUID, tuple[CancelAnswer, int]] = {}
        self._ticks: dict[UUID, list[float]] = {}
        self._loops: dict[UUID, ProcessLoop] = {}
        self._unheard: set[ClaimKey] = set()
        self.calm = False
        self.closed = False

    # -- at each step

    def applied(self, call: Call) -> None:
        """A verb has been applied just now."""
        if not self.closed and (look := getattr(self, f"_after_{call.verb}", None)):
            look(call)

    def _after_register(self, call: Call) -> None:
        session: Session = call.args[0]
        self._loops[session.id] = call.loop

    def _after_tick(self, call: Call) -> None:
        self._ticks.setdefault(call.args[0], []).append(self._world.now)

    def _after_claim(self, call: Call) -> None:
        if not call.certain and isinstance(call.answer, list):
            self._unheard |= {job.claim for job in call.answer}

    def _after_record(self, call: Call) -> None:
        if isinstance(call.answer, Recorded):
            for end in call.named["ends"]:
                if end.progress.claim in call.answer.ended:
                    self._logs_are_there(end)

    def _after_cancel(self, call: Call) -> None:
        if not isinstance(call.answer, dict):
            return
        for job, answer in call.answer.items():
            row = self._database.tables.jobs[job]
            if answer is not CancelAnswer.ENDED:
                self._cancelled[job] = (answer, row.record.epoch)
            if answer is CancelAnswer.REQUESTED and self.calm:
                self._world.after(STOPPED_WITHIN_SECONDS, self._has_stopped, row.claim)

    def _after_forfeit(self, call: Call) -> None:
        if call.answer is not None:
            self._was_silent(call, call.args[0], call.named["session"])

    def _after_end_session(self, call: Call) -> None:
        """A coordinator that has drained holds nothing, but for what it cannot have heard of or may write about no more."""
        if not call.loop.lease_holds():
            return
        for job in self._database.tables.held(call.args[0]):
            if job.claim not in self._unheard:
                self._world.breaks(f"{call.loop.name} has drained, and holds {job.claim} still")

    def _logs_are_there(self, end: End) -> None:
        """All that the job has said is readable no later than its outcome."""
        claim = end.progress.claim
        said = self._record.lines.get(claim, 0)
        stored = sum(chunk.data.count('"loguru"') for chunk in self._database.tables.logs.get(claim, ()))
        if stored != said:
            self._world.breaks(f"{claim} ended as {end.ending}, it has said {said} lines, and {stored} are readable")

    def _has_stopped(self, claim: ClaimKey) -> None:
        """What was asked to stop has stopped, if its coordinator is alive."""
        run = self._database.tables.invocations[claim]
        if run.ended_at is None and self._ticks[run.session][-1] > self._world.now - 3.0:
            self._world.breaks(f"{claim} was asked to stop {STOPPED_WITHIN_SECONDS:.0f} s ago, and runs still")

    def _was_silent(self, call: Call, observer: UUID, silent: UUID) -> None:
        """Nobody is declared dead but by one that has heard nothing of it for long enough, while it was listening itself."""
        if self._known_to_be_gone(silent, call.loop):
            return
        seconds = FORFEIT_AFTER_SECONDS / FASTEST
        silence = self._world.now - self._ticks.get(silent, [0.0])[-1]
        if silence < seconds:
            self._world.breaks(f"session {silent} was declared dead {silence:.3f} s after its last word")
        # It is deaf when no tick of its own comes for as long as a lease, and then begins to listen anew.
        heard = [at for at in self._ticks.get(observer, []) if call.sent_at - LISTENING_SECONDS <= at <= call.sent_at]
        if len(heard) < 2 and (heard and heard[-1] > call.loop.disturbed_at):
            self._world.breaks(f"session {silent} was declared dead by {observer}, which had itself heard nothing meanwhile")

    def _known_to_be_gone(self, session: UUID, observer: ProcessLoop) -> bool:
        """Whether its process is gone or has gone on to another session, and the observer is of that computer."""
        loop = self._loops.get(session)
        return loop is not None and loop.computer is observer.computer and (loop.dead or loop is observer)

    def holds_nothing(self, computer: Computer) -> None:
        """A host that is gone for good holds no claim any more."""
        for session in computer.sessions:
            for job in self._database.tables.held(session):
                self._world.breaks(f"{computer.name} is gone for good, and holds {job.claim} still")

    # -- at the end

    def at_the_end(self, *, settled: bool) -> None:
        """Judge the whole history.

        Args:
            settled: whether everything should have ended.
        """
        tables = self._database.tables
        found = history.examine(
            jobs=[job.record for job in tables.jobs.values()],
            invocations=tables.invocations.values(),
            sessions=tables.sessions.values(),
            chunks={claim: [(chunk.first, chunk.lines) for chunk in chunks] for claim, chunks in tables.logs.items()},
            witnessed=self._record.witnesses,
            accepted=self._orders.accepted,
            settled=settled,
        )
        for one in found:
            self._world.breaks(str(one))
        self._answers_are_true()
        self._cancels_are_honoured(settled=settled)
        if settled:
            for job, who in self._orders.waiting.items():
                self._world.breaks(f"{who} waits for job {job} still")

    def _answers_are_true(self) -> None:
        for job, outcome in self._orders.heard:
            record = self._database.tables.jobs[job].record
            if record.epoch > 1:
                continue  # it was sent again since
            match outcome:
                case Succeeded(result):
                    true = record.state is JobState.SUCCEEDED and result == orjson.loads(record.result or "null")
                case Dead():
                    true = record.state is JobState.DEAD
                case Cancelled():
                    true = record.state is JobState.CANCELLED
            if not true:
                self._world.breaks(f"job {job}: a client heard {outcome}, the database has {record.state} {record.result}")

    def _cancels_are_honoured(self, *, settled: bool) -> None:
        for job, (answer, epoch) in self._cancelled.items():
            record = self._database.tables.jobs[job].record
            if record.epoch != epoch or not (record.state.ended or settled):
                continue
            allowed = {JobState.CANCELLED} if answer is CancelAnswer.CANCELLED else {JobState.CANCELLED, JobState.SUCCEEDED}
            if record.state not in allowed:
                self._world.breaks(f"job {job}: its cancel was answered with {answer}, and it is {record.state}")
