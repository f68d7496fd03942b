"""Jobs and invocations in words: how something ended, what it cost, how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

import orjson

from heavyjobs.cli.render import clock, safe
from heavyjobs.model import Bill, Cause, Ending, InvocationRecord, JobRecord, JobState
from heavyjobs.units import show_bytes, show_seconds
from heavyjobs.values import decode

_GAP: Final = "   "


def since(when: datetime) -> float:
    """Seconds from then to now; 0 where the clocks of database and host disagree about the order."""
    return max(0.0, (datetime.now(UTC) - when).total_seconds())


def ago(when: datetime) -> str:
    passed = since(when)
    return "just now" if passed < 1 else f"{show_seconds(passed)} ago"


def until(when: datetime) -> str:
    return f"in {show_seconds(max(0.0, -(datetime.now(UTC) - when).total_seconds()))}"


# -- jobs


def standing(job: JobRecord) -> str:
    """The state with what else one wants to know: `succeeded 2 min ago`, `scheduled, due in 55 s`."""
    if job.state is JobState.SCHEDULED and job.due_at:
        return f"scheduled, due {until(job.due_at)}"
    if job.finished_at:
        return f"{job.state} {ago(job.finished_at)}"
    if job.cancel_requested_at:
        return f"{job.state}, cancel requested {ago(job.cancel_requested_at)}"
    return job.state.value


def next_step(job: JobRecord) -> str:
    """What follows an invocation that was not the last one: `attempt 2 of 3, next one in 55 s`; empty when nothing does."""
    if job.state.ended or job.state is JobState.RUNNING:
        return ""
    budget = f"attempt {job.attempt} of {job.policy.attempts}"
    return f"{budget}, next one {until(job.due_at)}" if job.due_at else f"{budget}, next one soon"


def waiting(job: JobRecord) -> str:
    """What a job waits for: `scheduled for 12:04:11`, `ready, in queue films`."""
    if job.due_at:
        return f"scheduled for {clock(job.due_at)}"
    return f"{job.state}, in queue {safe(job.policy.queue)}"


# -- invocations


def place(invocation: InvocationRecord) -> str:
    """Where it runs: `host-a, slot 2`."""
    slot = f"slot {invocation.slot}" if invocation.slot.isdecimal() else invocation.slot
    return safe(", ".join(part for part in (invocation.host, slot) if part))


def wall_seconds(invocation: InvocationRecord) -> float:
    """How long it took, or has taken so far."""
    if invocation.bill.wall_seconds:
        return invocation.bill.wall_seconds
    begun = invocation.started_at or invocation.opened_at
    return since(begun) - (since(invocation.ended_at) if invocation.ended_at else 0.0)


def how_it_ended(invocation: InvocationRecord) -> str:
    """`succeeded in 9 min 29 s`, `crashed after 41 min 00 s: killed by signal 9`; nothing is said twice."""
    time = show_seconds(wall_seconds(invocation))
    match invocation.ending:
        case None:
            return f"running for {time}" if invocation.started_at else "starting"
        case Ending.SUCCEEDED:
            return f"succeeded in {time}"
        case ending:
            reason = why(invocation.cause, after=time) if invocation.cause else ""
            return f"{ending_words(ending)} after {time}" + (f": {reason}" if reason else "")


def ending_words(ending: Ending) -> str:
    return ending.value.replace("_", " ")


def why(cause: Cause, *, after: str = "") -> str:
    """`OSError: disk full`, the type once, however the message begins; a typed error by its fields, not as JSON.

    Of heavyjobs' own messages only what is not told beside them: neither the ending nor `after`, how long it took.
    """
    name, message = type_name(cause), one_line(cause.message)
    if cause.ending is Ending.FAILED and (stored := cause.message.removeprefix(f"{name}: ")).startswith("{"):
        message = ", ".join(f"{field} {text}" for field, text in _fields(stored)) or message
    if not name:
        return _beside(message, ending_words(cause.ending), after)
    return message if message.startswith(name) else f"{name}: {message}"


def _beside(message: str, ending: str, after: str) -> str:
    """`killed by signal 9 after 41 min 00 s, out of memory (used 1 GiB)` → `killed by signal 9 (used 1 GiB)`."""
    message = message.replace(f", {ending}", "", 1)
    if after:
        message = message.replace(f" after {after}", "", 1)
    message = message.removeprefix(ending)
    return message.removeprefix(":").lstrip()


def one_line(text: str) -> str:
    return safe(" ".join(text.split()))


def type_name(cause: Cause) -> str:
    return safe((cause.type or "").rpartition(".")[2])


def _fields(message: str) -> list[tuple[str, str]]:
    try:
        return facts(message)
    except ValueError:  # it only looked like JSON
        return []


def cost(bill: Bill, *, whole: bool) -> str:
    """`CPU 17 min 02 s, peak 412 MiB`, and with `whole` what was read and written; empty where nothing was measured."""
    parts = [f"CPU {show_seconds(bill.cpu_seconds)}"] if bill.cpu_seconds else []
    if bill.memory_peak_bytes:
        parts.append(f"peak {show_bytes(bill.memory_peak_bytes)}")
    if whole and bill.read_bytes:
        parts.append(f"read {show_bytes(bill.read_bytes)}")
    if whole and bill.written_bytes:
        parts.append(f"written {show_bytes(bill.written_bytes)}")
    return ", ".join(parts)


# -- statuses


def progress_of(status: Any) -> tuple[float, float] | None:
    """Done and total, where a status has such fields."""
    match status:
        case {"done": int() | float() as done, "total": int() | float() as total} if total > 0:
            return float(done), float(total)
        case _:
            return None


def status_line(status: Any) -> str:
    """A status in one line: `61 %   23.4 GiB   71.0 MiB/s   3 min 00 s left`, `60 %   3 of 5`, or its fields."""
    if not isinstance(status, dict):
        return value_text("", status)
    named = cast("dict[str, Any]", status)
    if (progress := progress_of(named)) is None:
        if line := _without_total(named):
            return line
        return ", ".join(f"{safe(name)} {value_text(name, value)}" for name, value in named.items() if value not in (None, ""))
    done, total = progress
    return _GAP.join(
        [safe(text) for text in (_phase(named), f"{100 * done / total:.0f} %", *_details(named, done, total)) if text]
    )


def _without_total(status: Mapping[str, Any]) -> str:
    """Of work whose end is not known yet: `probing`, or `reading   23.4 GiB   71.0 MiB/s`; empty for other statuses."""
    match status:
        case {"phase": str() as phase, "unit": str(), "done": int() | float() as done} if phase and set(status) <= _PROGRESS:
            return _GAP.join(safe(text) for text in (phase, *_details(status, done, 0)[0 if done else 1 :]) if text)
        case _:
            return ""


_PROGRESS: Final = {"phase", "done", "total", "unit", "rate", "left_seconds", "item"}


def _phase(status: Mapping[str, Any]) -> str:
    return str(status.get("phase") or "")


def _details(status: Mapping[str, Any], done: float, total: float) -> list[str]:
    unit = str(status.get("unit") or "")
    parts = [_amount(done, unit) if unit else f"{_count(done)} of {_count(total)}"]
    if isinstance(rate := status.get("rate"), int | float) and rate > 0:
        parts.append(f"{_amount(rate, unit)}/s")
    if isinstance(left := status.get("left_seconds"), int | float) and left >= 0:
        parts.append(f"{show_seconds(left)} left")
    return [*parts, str(status.get("item") or "")]


def _amount(number: float, unit: str) -> str:
    if unit == "bytes":
        return show_bytes(number)
    return f"{_count(number)} {unit.removesuffix('s') if number == 1 else unit}".rstrip()


def _count(number: float) -> str:
    return f"{number:,.0f}" if number == round(number) else f"{number:,.1f}"


# -- values


def value_text(name: str, value: Any) -> str:
    """A JSON value for people; a name that ends in `bytes` or `seconds` says what a number is."""
    match value:
        case str():
            return safe(value)
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return _number_text(name.rpartition("_")[2], value)
        case None:
            return "none"
        case _:
            return safe(orjson.dumps(value).decode())


def _number_text(unit: str, value: float) -> str:
    if unit == "bytes" and value >= 0:
        return show_bytes(value)
    if unit == "seconds" and value >= 0:
        return show_seconds(value)
    return f"{value:,}"


def facts(text: str | None) -> list[tuple[str, str]]:
    """Stored JSON as names and texts; a value that has no names stands alone."""
    if text is None or (value := decode(text)) is None:
        return []
    if isinstance(value, dict):
        # A name that is empty is none: such a value would be taken for one that stands alone.
        return [(safe(name) or '""', value_text(name, item)) for name, item in cast("dict[str, Any]", value).items()]
    return [("", value_text("", value))]
