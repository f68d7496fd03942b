"""How the context of a running job reaches its coordinator: what the links of both kinds of worker share."""

from __future__ import annotations

import itertools
import time
from typing import Final

from heavyjobs import errors, events
from heavyjobs.events import Code
from heavyjobs.logs import encode_lines
from heavyjobs.model import Source
from heavyjobs.slots.wire import Wire
from heavyjobs.values import JsonText


class WorkerLink:
    """One invocation's link: what needs no answer."""

    _numbers: Final = itertools.count(1)

    def __init__(self, wire: Wire, reference: int) -> None:
        self.reference: Final = reference
        self._wire: Final = wire

    def report(self, status: JsonText) -> None:
        self._wire.send(Code.STATUS, self.reference, status.encode())

    def log(self, text: str) -> None:
        for line in encode_lines(time.time(), Source.PROGRAM, None, text):
            self._wire.send(Code.LOG, self.reference, line)

    def _send(self, request: events.Request) -> int:
        """Send a request; the number that its answer will have."""
        number = next(self._numbers)
        self._wire.send(Code.ASK, self.reference, events.ASKED.dump_json(events.Asked(number=number, request=request)))
        return number


def value_of(answer: events.Answer) -> JsonText:
    """What was answered.

    Raises:
        HeavyjobsError: of the kind that the coordinator refused with.
    """
    if answer.refused is None:
        return answer.value
    kind = getattr(errors, answer.refusal, errors.HeavyjobsError)
    raise kind(answer.refused)
