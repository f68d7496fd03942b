"""What must hold in every world: at each step, and at its end."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import orjson

from heavyjobs import history
from heavyjobs.model import Cancelled, Dead, JobState, Succeeded
from heavyjobs.store.protocol import CancelAnswer, End, Recorded
from heavyjobs.testing.reference import ReferenceDatabase
from tests.simulation.bodies import Record
from tests.simulation.computers import Computer
from tests.simulation.customers import Orders
from tests.simulation.world import World


class Checks:
    """Looks on, and says what is broken."""

    def __init__(self, world: World, database: ReferenceDatabase, record: Record, orders: Orders) -> None:
        self._world: Final = world
        self._database: Final = database
        self._record: Final = record
        self._orders: Final = orders
        self._cancelled: dict[UUID, tuple[CancelAnswer, int]] = {}
        self.closed = False

    # -- at each step

    def applied(self, verb: str, args: tuple[Any, ...], named: dict[str, Any], answer: object) -> None:
        """A verb has been applied just now."""
        if self.closed:
            return
        if verb == "record" and isinstance(answer, Recorded):
            for end in named["ends"]:
                if end.progress.claim in answer.ended:
                    self._logs_are_there(end)
        elif verb == "cancel" and isinstance(answer, dict):
            for job, what in answer.items():
                if what is not CancelAnswer.ENDED:
                    self._cancelled[job] = (what, self._database.tables.jobs[job].record.epoch)

    def _logs_are_there(self, end: End) -> None:
        """All that the job has said is readable no later than its outcome."""
        claim = end.progress.claim
        said = self._record.lines.get(claim, 0)
        stored = sum(chunk.data.count('"loguru"') for chunk in self._database.tables.logs.get(claim, ()))
        if stored != said:
            self._world.breaks(f"{claim} ended as {end.ending}, it has said {said} lines, and {stored} are readable")

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
