"""What the kinds that transcode a film have in common: their parameters, and what they refuse before any work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Self, TypeVar

from pydantic import Field, model_validator
from typing_extensions import override

from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.facts import Facts
from heavyjobs.jobs.presets import PRESETS, Preset, PresetName
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.trouble import TargetUnusable, Trouble, Unreadable, stop
from heavyjobs.jobs.watchdog import STALL_SECONDS, OutputBytes, StallSeconds
from heavyjobs.locations import Place

R = TypeVar("R")


class FilmJob(Job[R, Progress, Trouble]):
    """A film made into another by a preset."""

    source: Place
    target: Place
    preset: PresetName = "mp4-h264-aac"
    height: Annotated[int, Field(ge=16, le=4320)] | None = None
    crf: Annotated[int, Field(ge=0)] | None = None
    audio_kbps: Annotated[int, Field(ge=16, le=512)] | None = None
    stall_max_seconds: StallSeconds = STALL_SECONDS
    output_max_bytes: OutputBytes = None
    overwrite: bool = False

    config = JobConfig(timeout=None, memory=None)

    @model_validator(mode="after")
    def _fits_preset(self) -> Self:
        check_fit(self.preset, height=self.height, crf=self.crf, audio_kbps=self.audio_kbps)
        return self


class FilmChild(Job[R, Progress, Trouble]):
    """What is done for a film in pieces, in the queue of the job that asks for it."""

    preset: PresetName = "mp4-h264-aac"
    stall_max_seconds: StallSeconds = STALL_SECONDS
    queue: str = "default"

    config = JobConfig(backoff="2s", timeout=None, memory=None)

    @override
    def configure(self) -> JobConfig:
        return replace(self.config, queue=self.queue)


def check_fit(name: PresetName, *, height: int | None, crf: int | None, audio_kbps: int | None) -> None:
    """Refuse options that the preset does not have.

    Raises:
        ValueError: says which, and what would do.
    """
    preset = PRESETS[name]
    if not preset.video and (height is not None or crf is not None):
        raise ValueError(f"{name} makes no video, so height and crf mean nothing; leave them out")
    check_kbps(name, audio_kbps, lossy=preset.audio_kbps > 0)
    if crf is not None and crf > preset.crf_max:
        raise ValueError(f"crf={crf}: {name} takes 0 to {preset.crf_max}")


def check_kbps(name: str, audio_kbps: int | None, *, lossy: bool) -> None:
    """Refuse a bit rate where no bit is lost.

    Raises:
        ValueError: says what would do.
    """
    if audio_kbps is not None and not lossy:
        raise ValueError(f"{name} keeps all bits of the sound, so audio_kbps means nothing; leave it out")


def check_name(target: str, preset: str, *, suffixes: tuple[str, ...], others: Iterable[str]) -> None:
    """Refuse a name that does not say what the preset makes.

    Raises:
        Stopped: TargetUnusable.
    """
    if not target.lower().endswith(suffixes):
        would_do = f"let it end in {' or '.join(suffixes)}, or use another preset: {', '.join(others)}"
        stop(TargetUnusable, f"the name does not fit the preset {preset}", where=target, would_do=would_do)


def check_streams(found: Facts, preset: Preset, *, where: str) -> None:
    """Refuse a source without the stream that the preset wants.

    Raises:
        Stopped: Unreadable.
    """
    if preset.video and found.film is None:
        stop(Unreadable, "has no video stream", where=where, would_do="use an audio preset for sound alone")
    if not preset.video and not found.audio:
        stop(Unreadable, "has no audio stream", where=where, would_do="use a preset that makes video")
