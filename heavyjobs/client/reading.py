"""Turn what is stored about a job into the types of its class."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from heavyjobs.errors import JobMismatch
from heavyjobs.job import Job
from heavyjobs.model import CAUSE_UNKNOWN, Cancelled, Dead, E, JobRecord, JobState, Outcome, R, S, Succeeded, short_id
from heavyjobs.values import NULL, JsonText, decode

T = TypeVar("T")


class Reader(Generic[R, S, E]):
    """Reads results, statuses and errors as one job type has them; without a type as plain data."""

    def __init__(self, job_type: type[Job[R, S, E]] | None) -> None:
        self.job_type: Final = job_type

    def outcome(self, record: JobRecord) -> Outcome[R, E] | None:
        """How the job ended; None while it has not.

        Raises:
            JobMismatch: the job is of another kind, or what it left does not fit the class.
        """
        self._check_kind(record)
        match record.state:
            case JobState.SUCCEEDED:
                return Succeeded(self._result(record))
            case JobState.DEAD:
                return Dead(self._error(record), record.cause or CAUSE_UNKNOWN)
            case JobState.CANCELLED:
                return Cancelled()
            case _:
                return None

    def status(self, text: JsonText) -> S:
        """Raises JobMismatch: the status does not fit the class."""
        if self.job_type is None:
            return cast("S", _plain(text, "status"))
        return _read(self.job_type.status_adapter(), text, f"status of a {self.job_type.kind}")

    def _result(self, record: JobRecord) -> R:
        text = NULL if record.result is None else record.result
        if self.job_type is None:
            return cast("R", _plain(text, f"result of job {short_id(record.id)} ({record.kind})"))
        return _read(self.job_type.result_adapter(), text, f"result of job {short_id(record.id)} ({record.kind})")

    def _error(self, record: JobRecord) -> E | None:
        if record.error is None:
            return None
        if self.job_type is None:
            return cast("E", _plain(record.error, f"error of job {short_id(record.id)} ({record.kind})"))
        return _read(self.job_type.error_adapter(), record.error, f"error of job {short_id(record.id)} ({record.kind})")

    def _check_kind(self, record: JobRecord) -> None:
        if self.job_type is not None and record.kind != self.job_type.kind:
            raise JobMismatch(f"job {short_id(record.id)} is a {record.kind}, not a {self.job_type.kind}")


def _read(adapter: TypeAdapter[T] | None, text: JsonText, what: str) -> T:
    if adapter is None:
        raise JobMismatch(f"the stored {what} has no type: its class declares none any more; read it with an untyped handle")
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise JobMismatch(f"the stored {what} does not fit its class any more: {_problems(error)}") from None


def _plain(text: JsonText, what: str) -> Any:
    try:
        return decode(text)
    except ValueError as error:
        raise JobMismatch(f"the stored {what} does not fit: it is not JSON: {error}") from None


def _problems(error: ValidationError, most: int = 5) -> str:
    problems: list[Any] = error.errors(include_url=False, include_input=False, include_context=False)
    shown = [".".join(str(part) for part in problem["loc"]) + f": {problem['msg']}" for problem in problems[:most]]
    return "; ".join(shown).removeprefix(": ") + ("; …" if len(problems) > most else "")
