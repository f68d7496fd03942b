"""heavyjobs: a runner for heavy work that needs nothing but a database.

A job type is a class (`Job`), application code submits and awaits its jobs (`Client`, `SyncClient`), coordinators run them
(`heavyjobs run`).

Each name is loaded when it is first used: a worker never loads the client, and the guardian not even pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from heavyjobs.children import Child
    from heavyjobs.client import Client, Handle, Idle, Logged, Reported, StateChanged, SyncClient, SyncHandle, Update
    from heavyjobs.context import AsyncContext, Context
    from heavyjobs.errors import (
        AmbiguousId,
        CancelRequested,
        ConfigurationError,
        HeavyjobsError,
        InvalidParameters,
        JobCancelled,
        JobDead,
        JobDefinitionError,
        JobEnded,
        JobMismatch,
        JobNotFound,
        KeyReused,
        NotCommitted,
        PathRefused,
        ProgramFailed,
        SchemaMismatch,
        StoreUnavailable,
        TargetExists,
        UnknownKind,
        Unstorable,
        UsageError,
        WorkError,
        WrongState,
    )
    from heavyjobs.job import Job, JobConfig
    from heavyjobs.model import Cancelled, Cause, Dead, Ending, JobRecord, JobState, LogLine, Outcome, Succeeded
    from heavyjobs.outputs import Output
    from heavyjobs.store import StoreOptions

__all__ = [
    "AmbiguousId",
    "AsyncContext",
    "CancelRequested",
    "Cancelled",
    "Cause",
    "Child",
    "Client",
    "ConfigurationError",
    "Context",
    "Dead",
    "Ending",
    "Handle",
    "HeavyjobsError",
    "Idle",
    "InvalidParameters",
    "Job",
    "JobCancelled",
    "JobConfig",
    "JobDead",
    "JobDefinitionError",
    "JobEnded",
    "JobMismatch",
    "JobNotFound",
    "JobRecord",
    "JobState",
    "KeyReused",
    "LogLine",
    "Logged",
    "NotCommitted",
    "Outcome",
    "Output",
    "PathRefused",
    "ProgramFailed",
    "Reported",
    "SchemaMismatch",
    "StateChanged",
    "StoreOptions",
    "StoreUnavailable",
    "Succeeded",
    "SyncClient",
    "SyncHandle",
    "TargetExists",
    "UnknownKind",
    "Unstorable",
    "Update",
    "UsageError",
    "WorkError",
    "WrongState",
]

_ROOMS: Final = ("errors", "model", "outputs", "context", "job", "store", "client")
"""Where the names live, lightest first."""

if not TYPE_CHECKING:  # to a checker, any name would exist

    def __getattr__(name: str) -> object:
        if name in __all__:
            for room in _ROOMS:
                found = getattr(import_module(f"heavyjobs.{room}"), name, None)
                if found is not None:
                    globals()[name] = found
                    return found
        raise AttributeError(f"module 'heavyjobs' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
