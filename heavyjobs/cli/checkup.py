"""What `heavyjobs doctor` looks at beside the database: the configuration, this machine, the coordinators."""

from __future__ import annotations

import resource
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from heavyjobs.cli.check_config import looked_at
from heavyjobs.cli.common import import_job_types
from heavyjobs.cli.systemd import Unit, unit_of
from heavyjobs.cli.unserved import SILENT_SECONDS
from heavyjobs.errors import ConfigurationError, HeavyjobsError
from heavyjobs.job import kinds
from heavyjobs.model import CoordinatorRecord, short_id
from heavyjobs.settings import Settings
from heavyjobs.settings.shape import physical_memory, processors
from heavyjobs.store.records import Checked, Fit
from heavyjobs.units import show_bytes, show_seconds

FILES_BASE: Final = 128
FILES_PER_SLOT: Final = 16
"""Descriptors that a coordinator may need: its own, and for each worker's pipes."""


def configuration(settings: Settings, file: Path | None) -> Iterator[Checked]:
    """The file's modules and locations; whether it is right at all is known by now."""
    places = looked_at(settings)
    problems = [*import_job_types(settings), *places.unusable]
    yield from (Checked("configuration", Fit.WRONG, problem) for problem in problems)
    yield from (Checked("configuration", Fit.REMARK, absence) for absence in places.absent)
    if not problems:
        yield Checked("configuration", Fit.FINE, f"{file or 'no file: the defaults'}, {len(kinds())} kinds of jobs")


def machine(settings: Settings) -> Iterator[Checked]:
    """Bounds of this host, and the programs that job types in the box call."""
    yield from _workers(settings)
    asked, there = settings.coordinator.memory, physical_memory()
    if asked > there:
        yield Checked("memory", Fit.REMARK, f"coordinator.memory is {show_bytes(asked)}, this host has {show_bytes(there)}")
    if settings.coordinator.cpus > processors():
        yield Checked("processors", Fit.REMARK, f"coordinator.cpus is {settings.coordinator.cpus:g}, there are {processors()}")
    yield open_files(
        resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        slots=sum(queue.slots for queue in settings.queues.values()) + settings.coordinator.spares,
    )
    if "heavyjobs.jobs" in settings.modules:
        yield _ffmpeg()
        yield _zstd()
        yield _libarchive()


def _workers(settings: Settings) -> Iterator[Checked]:
    from heavyjobs.slots.confinement import confinement_of

    try:
        confinement_of(settings.workers)
    except ConfigurationError as error:
        # The doctor may be asked from another host, or by another user, than the coordinator runs on.
        yield Checked("workers", Fit.REMARK, f"heavyjobs run would not start here: {error}")


def open_files(limit: int, *, slots: int) -> Checked:
    need = FILES_BASE + FILES_PER_SLOT * slots
    if 0 <= limit < need:
        return Checked(
            "open files", Fit.REMARK, f"{limit} are allowed, {slots} workers may need {need}; raise it: ulimit -n {need}"
        )
    return Checked("open files", Fit.FINE, "no limit" if limit < 0 else f"{limit} are allowed")


def _ffmpeg() -> Checked:
    from heavyjobs.jobs.media import find_ffmpeg

    try:
        return Checked("ffmpeg", Fit.FINE, find_ffmpeg())
    except HeavyjobsError as error:
        return Checked("ffmpeg", Fit.REMARK, f"media.transcode will fail: {error}")


def _zstd() -> Checked:
    from heavyjobs.jobs.streams import zstd

    try:
        return Checked("zstd", Fit.FINE, str(zstd().__name__))
    except HeavyjobsError as error:
        return Checked("zstd", Fit.REMARK, f".tar.zst will fail: {error}")


def _libarchive() -> Checked:
    from ctypes.util import find_library

    if (found := find_library("archive")) is None:
        return Checked("libarchive", Fit.REMARK, "7z and rar cannot be read; install it: apt install libarchive13")
    return Checked("libarchive", Fit.FINE, found)


def coordinators(live: Sequence[CoordinatorRecord], *, now: datetime) -> Iterator[Checked]:
    """Who serves the database, how long each has been silent, and what they complain about."""
    if not live:
        yield Checked("coordinators", Fit.REMARK, "none is running; heavyjobs run starts one")
    for one in live:
        silence = max(0.0, (now - one.ticked_at).total_seconds())
        heard = f"{one.session.name} ({short_id(one.session.id)}) was heard of {show_seconds(silence)} ago, runs {one.running}"
        if silence > SILENT_SECONDS:
            heard += "; it is gone or cut off, and its jobs wait for another coordinator to take them back"
        yield Checked("coordinators", Fit.REMARK if silence > SILENT_SECONDS else Fit.FINE, heard)
        yield from (Checked("coordinators", Fit.REMARK, f"{one.session.name}: {said}") for said in one.session.problems)
    for name, count in Counter(one.session.name for one in live).items():
        if count > 1:
            twice = f"{count} are called {name}: harmless, but nobody can tell them apart; set coordinator.name"
            yield Checked("coordinators", Fit.REMARK, twice)


def service(live: Sequence[CoordinatorRecord], settings: Settings) -> Iterator[Checked]:
    """How systemd stops the coordinators of this host that it has started."""
    for unit in {unit for pid in pids_here(live) if (unit := unit_of(pid)) is not None}:
        yield from stopping(unit, drain_seconds=settings.coordinator.drain)


def pids_here(live: Sequence[CoordinatorRecord]) -> set[int]:
    """Of coordinators whose numbers mean something to us: after a boot, or in another container, they are other processes'."""
    from heavyjobs.coordinator.host import boot_id

    here = socket.gethostname(), boot_id()
    return {one.session.pid for one in live if (one.session.host, one.session.boot_id) == here}


def stopping(unit: Unit, *, drain_seconds: float) -> Iterator[Checked]:
    """Whether a unit lets its coordinator drain."""
    if unit.kill_mode not in {"mixed", "process"}:
        ends = f"{unit.name} has KillMode={unit.kill_mode}, which ends workers before their coordinator can drain"
        yield Checked("systemd", Fit.WRONG, f"{ends}; set KillMode=mixed")
    if unit.stop_seconds is not None and unit.stop_seconds <= drain_seconds:
        cut = f"{unit.name} has TimeoutStopSec={unit.stop_seconds:g}, coordinator.drain is {drain_seconds:g} s"
        yield Checked("systemd", Fit.WRONG, f"{cut}: it is killed while it hands back; set {drain_seconds + 30:g} or more")
    elif unit.kill_mode in {"mixed", "process"}:
        yield Checked("systemd", Fit.FINE, f"{unit.name} lets its coordinator drain")
