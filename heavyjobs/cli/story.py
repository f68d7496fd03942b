"""Tell what happens to a job: for each attempt a header, its lines, how it ended and what it cost."""

from __future__ import annotations

import time
from typing import Any, Final, Protocol

import click

from heavyjobs.cli.phrases import cost, how_it_ended, next_step, place, waiting
from heavyjobs.cli.render import Colour, clock, colourful, dim, paint, safe, stamp, to_json
from heavyjobs.cli.screen import Screen
from heavyjobs.model import Ending, InvocationRecord, JobRecord, LogLine, Source


class Teller(Protocol):
    """How the story is told."""

    def begins(self, invocation: InvocationRecord) -> None: ...
    def line(self, line: LogLine) -> None: ...
    def status(self, status: Any) -> None: ...
    def idle(self) -> None: ...
    def ends(self, invocation: InvocationRecord, job: JobRecord) -> None: ...
    def waits(self, job: JobRecord) -> None: ...


class ForPeople(Teller):
    """Headers, times and endings.

    The last line of a log is often the cause of the end, which the line about the end says too: it is told once.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen: Final = screen
        self._continuing = False
        self._withheld: list[LogLine] = []

    def begins(self, invocation: InvocationRecord) -> None:
        when = clock(invocation.started_at or invocation.opened_at)
        date = f"   {when.split()[0]}" if " " in when else ""
        epoch = f" of epoch {invocation.epoch}" if invocation.epoch > 1 else ""
        self._screen.line(_bold(f"attempt {invocation.attempt}{epoch}   {place(invocation)}{date}"))

    def line(self, line: LogLine) -> None:
        if _may_be_a_cause(line) and not self._continuing:
            self._withheld.append(line)
        else:
            self._tell_withheld()
            self._tell(line)

    def status(self, status: Any) -> None:
        self._tell_withheld()
        self._screen.status(status, at=time.time())

    def idle(self) -> None:
        self._tell_withheld()
        self._screen.idle()

    def ends(self, invocation: InvocationRecord, job: JobRecord) -> None:
        cause = invocation.cause.message.splitlines() if invocation.cause else []
        if cause and [line.text for line in self._withheld[-len(cause) :]] == cause:
            del self._withheld[-len(cause) :]
        self._tell_withheld()
        at = invocation.ended_at.timestamp() if invocation.ended_at else time.time()
        self._screen.over(at=at)
        bill = cost(invocation.bill, whole=False)
        after = next_step(job) if invocation.claim.number == job.claim else ""
        text = paint(how_it_ended(invocation), "green" if invocation.ending is Ending.SUCCEEDED else "red")
        self._screen.line(dim(stamp(at)) + text + (f"   ({bill})" if bill else "") + (f"; {after}" if after else ""))

    def waits(self, job: JobRecord) -> None:
        self._screen.waits(waiting(job))

    def _tell(self, line: LogLine) -> None:
        before = "" if self._continuing else dim(stamp(line.time))
        self._continuing = line.continued
        text = paint(safe(line.text), _colour(line.level))
        self._screen.line(before + text, at=line.time, end="" if line.continued else "\n")

    def _tell_withheld(self) -> None:
        lines, self._withheld = self._withheld, []
        for line in lines:
            self._tell(line)


class Raw(Teller):
    """Nothing but the text of the lines."""

    def __init__(self, screen: Screen) -> None:
        self._screen: Final = screen

    def begins(self, invocation: InvocationRecord) -> None:
        pass

    def line(self, line: LogLine) -> None:
        self._screen.line(safe(line.text), end="" if line.continued else "\n")

    def status(self, status: Any) -> None:
        pass

    def idle(self) -> None:
        pass

    def ends(self, invocation: InvocationRecord, job: JobRecord) -> None:
        pass

    def waits(self, job: JobRecord) -> None:
        pass


class AsJson(Raw):
    """Each line as an object."""

    def line(self, line: LogLine) -> None:
        names = ("claim", "number", "time", "source", "level", "text", "continued")
        self._screen.line(to_json({name: getattr(line, name) for name in names}, lines=True))


def _may_be_a_cause(line: LogLine) -> bool:
    """Whether the coordinator may have said with it why the invocation ends."""
    level = line.level or 0
    return line.source is Source.HEAVYJOBS and not line.continued and (level >= 40 or line.text.startswith("handed back"))


def _bold(text: str) -> str:
    return click.style(text, bold=True) if colourful() else text


def _colour(level: int | None) -> Colour | None:
    if level is None or level < 30:
        return None
    return "red" if level >= 40 else "yellow"
