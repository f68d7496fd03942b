"""Tell what happens to a job: for each attempt a header, its lines, how it ended and what it cost."""

from __future__ import annotations

import time
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Protocol

import click

from heavyjobs.cli.phrases import cost, how_it_ended, next_step, place, waiting
from heavyjobs.cli.render import Colour, clock, colourful, dim, paint, safe, to_json
from heavyjobs.cli.screen import Screen
from heavyjobs.model import Ending, InvocationRecord, JobRecord, LogLine

_GAP: Final = "    "


class Teller(Protocol):
    """How the story is told."""

    def begins(self, invocation: InvocationRecord) -> None: ...
    def line(self, line: LogLine) -> None: ...
    def status(self, status: Any) -> None: ...
    def ends(self, invocation: InvocationRecord, job: JobRecord) -> None: ...
    def waits(self, job: JobRecord) -> None: ...


class ForPeople(Teller):
    """Headers, times and endings."""

    def __init__(self, screen: Screen) -> None:
        self._screen: Final = screen
        self._continuing = False

    def begins(self, invocation: InvocationRecord) -> None:
        when = clock(invocation.started_at or invocation.opened_at)
        date = f"   {when.split()[0]}" if " " in when else ""
        self._screen.line(_bold(f"attempt {invocation.attempt}   {place(invocation)}{date}"))

    def line(self, line: LogLine) -> None:
        stamp = "" if self._continuing else dim(_time_of_day(int(line.time))) + _GAP
        self._continuing = line.continued
        self._screen.line(stamp + paint(safe(line.text), _colour(line.level)), end="" if line.continued else "\n")

    def status(self, status: Any) -> None:
        self._screen.status(status, stamp=_time_of_day(int(time.time())) + _GAP)

    def ends(self, invocation: InvocationRecord, job: JobRecord) -> None:
        self._screen.status(None, stamp="")
        stamp = clock(invocation.ended_at).split()[-1] if invocation.ended_at else _time_of_day(int(time.time()))
        bill = cost(invocation.bill, whole=False)
        after = next_step(job)
        text = paint(how_it_ended(invocation), "green" if invocation.ending is Ending.SUCCEEDED else "red")
        self._screen.line(dim(stamp) + _GAP + text + (f"   ({bill})" if bill else "") + (f"; {after}" if after else ""))

    def waits(self, job: JobRecord) -> None:
        self._screen.waits(waiting(job))


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

    def ends(self, invocation: InvocationRecord, job: JobRecord) -> None:
        pass

    def waits(self, job: JobRecord) -> None:
        pass


class AsJson(Raw):
    """Each line as an object."""

    def line(self, line: LogLine) -> None:
        names = ("claim", "number", "time", "source", "level", "text", "continued")
        self._screen.line(to_json({name: getattr(line, name) for name in names}, lines=True))


@lru_cache(maxsize=8)
def _time_of_day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")


def _bold(text: str) -> str:
    return click.style(text, bold=True) if colourful() else text


def _colour(level: int | None) -> Colour | None:
    if level is None or level < 30:
        return None
    return "red" if level >= 40 else "yellow"
