"""What can be configured, with its defaults; `config/heavyjobs.toml` says the same with comments."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from heavyjobs.settings.writing import written_bytes, written_seconds
from heavyjobs.units import seconds, size_bytes

TICKS_PER_LEASE: Final = 3
"""A lease must outlast two lost ticks."""


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('not a duration; write it like "30s", "5m" or "250ms"')  # noqa: TRY004 - pydantic turns it into a report
    return seconds(value)


def _bytes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError('not a size; write it like "2GiB", "500MB" or 4096')  # noqa: TRY004 - pydantic turns it into a report
    return size_bytes(value)


def _split(value: object) -> object:
    """Names from one text, for the environment: `a, b`."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Seconds: TypeAlias = Annotated[float, BeforeValidator(_seconds), PlainSerializer(written_seconds, when_used="json")]
Bytes: TypeAlias = Annotated[int, BeforeValidator(_bytes), PlainSerializer(written_bytes, when_used="json")]
Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_split)]
Label: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DatabaseSettings(_Section):
    """How to reach the database; `heavyjobs.store.StoreOptions` explains each."""

    url: str = "sqlite:///heavyjobs.db"
    connections: int = Field(default=4, ge=2, le=1000)
    timeout: Seconds = Field(default=10.0, gt=0)
    listen_url: str | None = None
    notify: bool = True


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def physical_memory() -> int:
    import psutil

    return psutil.virtual_memory().total


class CoordinatorSettings(_Section):
    """One host's coordinator.

    Attributes:
        name: a label for people; the host's name by default.
        tick_every: between two words to the database that the session lives.
        lease: own trees are ended when no tick succeeded for that long, counted from the start of the last good one.
        kill: time allowed for ending them.
        forfeit_after: another session is declared dead after that much silence.
        poll_every: claiming without wake-ups.
        drain: how long work may go on after the request to stop.
        cpus, memory: what all running jobs together may ask for.
        lane: `async def` jobs at once.
        spares: warm workers beyond the slots, so that a kill costs the next job nothing.
        recycle_after: invocations before a worker is replaced; recycle_memory: size of an idle worker from which it is.
        log_bytes: kept of one invocation's log; 0 keeps all.
    """

    name: Label = Field(default_factory=socket.gethostname)
    tick_every: Seconds = Field(default=1.0, gt=0)
    lease: Seconds = Field(default=15.0, gt=0)
    kill: Seconds = Field(default=5.0, gt=0)
    forfeit_after: Seconds = Field(default=30.0, gt=0)
    poll_every: Seconds = Field(default=2.0, gt=0)
    drain: Seconds = 30.0
    cpus: float = Field(default_factory=processors, gt=0)
    memory: Bytes = Field(default_factory=physical_memory, gt=0)
    lane: int = Field(default=200, ge=0, le=100_000)
    spares: int = Field(default=1, ge=0, le=1000)
    recycle_after: int = Field(default=1000, ge=1)
    recycle_memory: Bytes = Field(default=1 << 30, gt=0)
    log_bytes: Bytes = 64 << 20

    @model_validator(mode="after")
    def _given_up_before_taken(self) -> Self:
        """A claim must be given up by its holder before another may take it: tick ≪ lease + kill < forfeit."""
        if self.tick_every * TICKS_PER_LEASE > self.lease:
            raise _relation(
                "tick_every",
                f"{_text(self.tick_every)} is too slow for lease {_text(self.lease)}; "
                f"use {_text(self.lease / TICKS_PER_LEASE)} or less, or a longer lease",
            )
        held = self.lease + self.kill
        if held >= self.forfeit_after:
            raise _relation(
                "forfeit_after",
                f"{_text(self.forfeit_after)} is too short for lease {_text(self.lease)} and kill {_text(self.kill)}; "
                f"use more than {_text(held)}, or a shorter lease",
            )
        return self


class WorkerSettings(_Section):
    """What the processes that run jobs may be, see and use; `heavyjobs.events.Confinement` explains each."""

    user: Label | None = None
    group: Label | None = None
    environment: Names = ()
    processes: int | None = Field(default=None, ge=1)
    file_size: Bytes | None = Field(default=None, gt=0)
    open_files: int | None = Field(default=None, ge=64)


class QueueSettings(_Section):
    """A queue that this coordinator serves; `slots` is how many `def run` jobs of it run at once."""

    slots: int = Field(ge=0, le=10_000)


class LocationSettings(_Section):
    """A place that job parameters may name, as in `media:in/film.mkv`."""

    url: str


class LogSettings(_Section):
    """The coordinator's own log, on stderr."""

    format: Literal["human", "json"] = "human"
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = "INFO"


def _this_host() -> CoordinatorSettings:
    return CoordinatorSettings()


def _one_queue() -> dict[str, QueueSettings]:
    return {"default": QueueSettings(slots=processors())}


class Settings(_Section):
    """Everything that can be configured.

    Attributes:
        modules: that define job types; imported by workers and by whoever submits from a command line.
        preload: imported once, before workers are forked; for what is slow to import and safe to share.
        path: folders to find these modules in, before the current folder and the installed ones.
        plain_paths: whether jobs may use paths outside the locations; for one's own machine.
    """

    modules: Names = ("heavyjobs.jobs",)
    preload: Names = ()
    path: Annotated[tuple[Path, ...], BeforeValidator(_split)] = ()
    plain_paths: bool = True
    database: DatabaseSettings = DatabaseSettings()
    coordinator: CoordinatorSettings = Field(default_factory=_this_host)
    workers: WorkerSettings = WorkerSettings()
    queues: Mapping[Label, QueueSettings] = Field(default_factory=_one_queue)
    locations: Mapping[Label, LocationSettings] = {}
    log: LogSettings = LogSettings()

    def import_paths(self) -> list[str]:
        """Where modules are looked for before the installed ones: `path`, then the current folder, as `python -m` does."""
        return [str(folder.absolute()) for folder in (*self.path, Path())]


def _text(value: float) -> str:
    return f'"{value:g}s"'


def _relation(field: str, message: str) -> PydanticCustomError:
    """A mistake between fields, reported at one of them; see `mistakes`."""
    return PydanticCustomError("relation", "{message}", {"message": message, "field": field})
