"""From a job to the row that is inserted; the same for every way to submit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic

from heavyjobs.client.durations import read_seconds
from heavyjobs.client.reading import Reader
from heavyjobs.errors import JobDefinitionError, Unstorable, UsageError
from heavyjobs.job import Job, JobConfig, kinds
from heavyjobs.model import E, Policy, R, S, new_id
from heavyjobs.store.patience import repeated
from heavyjobs.store.protocol import Store
from heavyjobs.store.records import NewJob, Submitted
from heavyjobs.units import Duration
from heavyjobs.values import PARAMETERS_MAX_BYTES, JsonText, encode

UNIQUE_MAX_BYTES: Final = 500
KIND_MAX_CHARS: Final = 100


@dataclass(frozen=True, slots=True)
class Draft(Generic[R, S, E]):
    """A job that is ready to be inserted, and how to read what it leaves."""

    new: NewJob
    reader: Reader[R, S, E]


def draft(job: Job[R, S, E], *, unique: str | None = None, delay: Duration | None = None) -> Draft[R, S, E]:
    """From a job.

    Raises:
        InvalidParameters, Unstorable: the job cannot be run with these parameters, or not be stored.
        UsageError: it is no job.
        JobDefinitionError: its class is only a base for others.
    """
    if fault := _no_job(job):
        raise UsageError(f"submit takes a job, an instance of its class; {fault}")
    if not job.kind:
        name = type(job).__qualname__
        raise JobDefinitionError(f'{name}: a class without a kind cannot be submitted; write class {name}(Job[…], kind="…")')
    new = _row(job.kind, job.version, job.parameters(), job.policy(), unique=unique, delay=delay)
    return Draft(new, Reader(type(job)))


def draft_of_kind(
    kind: str,
    parameters: Mapping[str, object],
    *,
    version: int | None,
    config: JobConfig | None,
    unique: str | None,
    delay: Duration | None,
) -> Draft[Any, Any, Any]:
    """From a kind and plain parameters; where the class is known too, that has its say about both but not about the types.

    Raises:
        InvalidParameters: by the word of the class, when it is known here.
        Unstorable: parameters or names that cannot be stored.
    """
    if not _is_name(kind) or len(kind) > KIND_MAX_CHARS or not kind.isprintable():
        raise Unstorable(f"{repr(kind)[:KIND_MAX_CHARS]} is not a kind; use a name such as archive.pack")
    text = encode(dict(parameters), what=f"{kind}: parameters", max_bytes=PARAMETERS_MAX_BYTES)
    known = kinds().get(kind)
    if known is None or (version is not None and version > known.version):
        version, policy = version or 1, (config or JobConfig()).policy(waits=False)
    else:
        job = known.parse(version or known.version, text)
        version, text = known.version, job.parameters()
        policy = job.policy() if config is None else config.policy(waits=known.waits())
    return Draft(_row(kind, version, text, policy, unique=unique, delay=delay), Reader[Any, Any, Any](None))


def _row(
    kind: str, version: int, parameters: JsonText, policy: Policy, *, unique: str | None, delay: Duration | None
) -> NewJob:
    if unique is not None:
        if not _is_name(unique):
            fault = f"is {unique!r}" if unique else "is empty"
            raise Unstorable(f'{kind}: the unique key {fault}; use a text such as "{kind}:42", or None')
        encode(unique, what=f"{kind}: the unique key", max_bytes=UNIQUE_MAX_BYTES)
    return NewJob(
        id=new_id(),
        kind=kind,
        version=version,
        parameters=parameters,
        policy=policy,
        delay_seconds=read_seconds("delay", delay) or 0.0,
        unique_key=unique,
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _no_job(value: object) -> str | None:
    """Why a value cannot be submitted as a job, and what would do; None when it can."""
    match value:
        case Job():
            return None
        case str():
            return f"for a kind by name, use submit_kind({value!r}, {{…}})"
        case type() if issubclass(value, Job):
            return f"make one of the class: {value.__qualname__}(…)"
        case _:
            return f"{type(value).__qualname__} is none"


async def insert(store: Store, jobs: Sequence[NewJob], *, connection: object | None) -> Sequence[Submitted]:
    """Insert, in a transaction of our own or in the caller's.

    Only the former is tried again when the database is away: the ids are made, so repeating it is harmless.
    """
    if not jobs:
        return ()
    if connection is not None:
        return await store.submit_within(connection, jobs)
    return await repeated(lambda: store.submit(jobs))
