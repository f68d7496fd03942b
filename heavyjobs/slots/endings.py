"""Turn whatever user code did into one plain `Ended`: the worker's side of "failure has a cause"."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from heavyjobs.context import Failure
from heavyjobs.errors import CancelRequested, HeavyjobsError, Unstorable
from heavyjobs.events import ENDED, Ended
from heavyjobs.job import AnyJob, problems
from heavyjobs.model import Bill, Ending
from heavyjobs.slots.hurrying import TookTooLong, within
from heavyjobs.values import RESULT_MAX_BYTES, encode_typed, visible

SAYING_SECONDS: Final = 3.0
"""How long an error may take to say what it is: less than what holds up the lane."""

_TRACEBACK_MAX_CHARS: Final = 32 << 10
_MESSAGE_MAX_CHARS: Final = 4 << 10


def returned(job: AnyJob, result: Any, failure: Failure | None) -> Ended:
    """The ending of a job whose `run` returned.

    Raises:
        Unstorable: the result is not JSON or too large; whatever `retry_if` raises.
    """
    if failure is not None:
        return _failed(failure)
    adapter = job.result_adapter()
    try:
        valid = adapter.validate_python(result)
    except ValidationError as error:
        reasons = "; ".join(f"{field}: {reason}" for field, reason in problems(error))
        raise Unstorable(f"the result of {job.kind} is not what its class says: {reasons}") from None
    text = encode_typed(adapter.serializer, valid, what=f"the result of {job.kind}", max_bytes=RESULT_MAX_BYTES)
    if job.retry_if(result):
        return Ended(ending=Ending.RAISED, message=f"retry_if: the result is to be tried for again: {text[:200]}")
    return Ended(ending=Ending.SUCCEEDED, result=text)


def raised(error: BaseException, failure: Failure | None) -> Ended:
    """The ending of a job that was left by an exception, whichever."""
    if failure is not None:
        return _failed(failure)
    ending = Ending.RAISED
    if isinstance(error, CancelRequested):
        ending = Ending.CANCELLED
    elif isinstance(error, MemoryError):
        ending = Ending.OUT_OF_MEMORY
    message, trace = _told(error)
    return Ended(
        ending=ending,
        retry=not (isinstance(error, HeavyjobsError) and error.final),
        message=_cut(visible(message), _MESSAGE_MAX_CHARS),
        type=f"{type(error).__module__}.{type(error).__qualname__}",
        traceback=_cut(visible(trace), _TRACEBACK_MAX_CHARS),
    )


def dump(ended: Ended, *, bill: Bill, so_far: Bill, worn: bool) -> bytes:
    """The body of the frame that carries it."""
    return ENDED.dump_json(replace(ended, bill=bill, so_far=so_far, worn=worn))


def _failed(failure: Failure) -> Ended:
    message = _cut(failure.message, _MESSAGE_MAX_CHARS)
    return Ended(ending=Ending.FAILED, error=failure.error, type=failure.type, retry=failure.retry, message=message)


def _told(error: BaseException) -> tuple[str, str]:
    """Its message and its traceback; what each error of the chain says is user code, which need not come to an end."""
    name = type(error).__qualname__
    try:
        with within(SAYING_SECONDS):
            said = _said(error)
            trace = "".join(traceback.format_exception(_without_our_frames(error)))
            return f"{name}: {said}" if said else name, trace
    except TookTooLong:
        return f"{name}: <cannot be said: TookTooLong>", "".join(traceback.format_tb(error.__traceback__))


def _said(error: BaseException) -> str:
    """Its text, although its class may be unable to say it."""
    try:
        return str(error)
    except BaseException as trouble:  # noqa: BLE001 - user code, which may raise SystemExit here as well
        return f"<cannot be said: {type(trouble).__name__}>"


def _without_our_frames(error: BaseException) -> BaseException:
    """Drop the frames of the worker from the top of the traceback: people look for their own code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and "/heavyjobs/slots/" in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    return error.with_traceback(trace)


def _cut(text: str, most: int) -> str:
    """Keep both ends of a long text."""
    return text if len(text) <= most else f"{text[: most // 4]}\n…\n{text[-most * 3 // 4 :]}"
