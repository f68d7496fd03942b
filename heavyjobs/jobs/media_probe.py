"""`media.probe`: what a media file is, by a limited child process that reads nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.examine import examine
from heavyjobs.jobs.facts import Caps, Facts
from heavyjobs.jobs.places import source_file, unchanging
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import Trouble, shown, typed
from heavyjobs.locations import Place
from heavyjobs.units import show_seconds


class ProbedMedia(BaseModel):
    """What a media file is.

    Attributes:
        source: as the parameters say it. bytes: its size. sha256: of the whole file, where `digest` asked for it.
    """

    source: str
    bytes: int
    sha256: str | None
    facts: Facts


class Probe(Job[ProbedMedia, Progress, Trouble], kind="media.probe"):
    """Say what a media file is: container, duration, and each stream's codec, size, frame rate, channels.

    The file is read by ffprobe where there is one, else by PyAV, in a child process with little memory and time. A file that
    only names others (a playlist) is no media file. More streams, pixels or seconds than the caps allow are refused.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | it changes while it is read | `SourceChanged` | yes |
    | no media file, a playlist, damaged where it says what it is, one that crashes what reads it | `Unreadable` | no |
    | a place that is not open to jobs, more streams, pixels or seconds than the caps | `Refused` | no |
    | neither ffprobe nor PyAV here | `NotInstalled` | yes |
    | it waits two minutes for the disk | `Stalled` | yes |
    | the child is ended from outside | `ProgramFailed` | yes |
    """

    source: Place
    digest: bool = False
    streams_max: Annotated[int, Field(ge=1, le=1000)] = Caps().streams
    pixels_max: Annotated[int, Field(ge=1)] = Caps().pixels
    duration_max_seconds: Annotated[float, Field(gt=0)] = Caps().duration_seconds

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> ProbedMedia:
        with typed(ctx, target=self.source):
            path, meter = source_file(ctx.locations, self.source, instead="name a file in it"), Meter(ctx.report)
            meter.start("probing", total=None)
            with unchanging(path, where=self.source):
                facts = examine(ctx, path, where=self.source, caps=self._caps())
                length = "of unknown length" if facts.duration_seconds is None else show_seconds(facts.duration_seconds)
                logger.info("{}: {}, {}", shown(self.source), facts.container, length)
                sha256 = self._digest(path, meter) if self.digest else None
            return ProbedMedia(source=self.source, bytes=path.stat().st_size, sha256=sha256, facts=facts)

    def _caps(self) -> Caps:
        return Caps(streams=self.streams_max, pixels=self.pixels_max, duration_seconds=self.duration_max_seconds)

    def _digest(self, path: Path, meter: Meter) -> str:
        meter.start("digesting", total=path.stat().st_size)
        return sha256_of(path, meter=meter)
