"""What `media.chunked_transcode` has done on all hosts: pieces of the picture, the sound, or the whole where it cannot be cut.

Each lies in the film's workshop under its number, published by rename under the claim of the job that made it, so that one
whose claim is lost cannot put an older piece in its place. Each is read by its digest when the film is joined.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from loguru import logger
from pydantic import BaseModel, Field
from typing_extensions import override

from heavyjobs.context import Context
from heavyjobs.job import JobConfig
from heavyjobs.jobs.cutting import Range
from heavyjobs.jobs.decoding import decode_all
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.encode import PROGRESS, follow
from heavyjobs.jobs.film_jobs import FilmChild
from heavyjobs.jobs.media import find_ffmpeg, reading
from heavyjobs.jobs.packets import Asked, list_packets
from heavyjobs.jobs.places import source_file
from heavyjobs.jobs.presets import PRESETS, scaling, sound_encoding, video_encoding
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.survey import Identity, same_or_stop
from heavyjobs.jobs.transcode import Transcode
from heavyjobs.jobs.trouble import Trouble, typed
from heavyjobs.jobs.watchdog import Bounds, OutputBytes
from heavyjobs.locations import Place


class Part(BaseModel, frozen=True):
    """A file in a film's workshop.

    Attributes:
        frames, width, height: of video in it.
        exact: whether these are the frames that it was to have; if not, the file is of no use.
    """

    name: str
    frames: int
    seconds: float
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    exact: bool = True


class Piece(FilmChild[Part], kind="media.piece"):
    """Transcode the picture of one piece of a film, without sound: `media.chunked_transcode` asks.

    Reads only its range of the source, from the keyframe before it on. What was made is decoded to its end (`decode`), on the
    host that has just written it.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing on this host, or may not be read | `SourceMissing` | no |
    | it is not what was surveyed, or changes | `SourceChanged` | yes |
    | other frames come out than were counted | none: `exact` is false in the result | |
    | pictures or sound that the preset's encoder does not take, like sides beyond 16384 pixels | `Refused` | no |
    | what was made cannot be decoded | `OutputWrong` | yes |
    | a place that is not open to jobs, an output larger than `output_max_bytes` | `Refused` | no |
    | no ffmpeg here, or one without the preset's encoders | `NotInstalled` | yes |
    | the workshop is gone | `WorkError` | yes |
    | ffmpeg stands still for `stall_max_seconds` | `Stalled` | yes |
    | ffmpeg crashes or fails in another way (disk full) | `ProgramFailed` | yes |
    """

    source: Place
    identity: Identity
    folder: Place
    number: Annotated[int, Field(ge=0)]
    part: Range
    tick: Fraction
    rate: Fraction | None = None
    height: int | None = None
    crf: int | None = None
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    decode: bool = True
    output_max_bytes: OutputBytes = None

    @override
    def configure(self) -> JobConfig:
        return replace(super().configure(), cpus=self.threads)

    def run(self, ctx: Context[Progress, Trouble]) -> Part:
        with typed(ctx, target=self.folder):
            source = source_file(ctx.locations, self.source, instead="name a file in it")
            same_or_stop(source, self.identity, where=self.source)
            name = f"piece-{self.number:04}.mp4"
            meter = Meter(ctx.report)
            with ctx.output(f"{self.folder}/{name}", replace=True) as out:
                part = self._encode(ctx, source, out.path, name, meter)
                same_or_stop(source, self.identity, where=self.source)
            return part

    def _encode(self, ctx: Context[Progress, Trouble], source: Path, path: Path, name: str, meter: Meter) -> Part:
        seconds = float((self.part.end - self.part.start) * self.tick)
        meter.start("encoding", total=seconds, unit="seconds")
        bounds = Bounds(where=self.source, output=path, stall_seconds=self.stall_max_seconds, bytes_max=self.output_max_bytes)
        frames = follow(ctx, self.command(find_ffmpeg(), source, path), meter, made=self.preset, bounds=bounds).frames
        if frames != self.part.frames:
            logger.warning("piece {}: {} frames instead of {}", self.number, frames, self.part.frames)
            path.touch()
            return _measured(path, name, seconds, meter).model_copy(update={"frames": frames, "exact": False})
        asked = Asked(where=self.folder, stall_seconds=self.stall_max_seconds, made=True)
        listing = list_packets(ctx, path, "video", asked=asked)
        if self.decode:
            decode_all(ctx, path, meter, frames=frames, threads=self.threads, bounds=bounds)
        size = {"frames": frames, "width": listing.width, "height": listing.height}
        return _measured(path, name, seconds, meter).model_copy(update=size)

    def command(self, ffmpeg: str, source: Path, path: Path) -> list[str]:
        """The piece's frames and no others, their times counted from its start, at the film's own rate."""
        start, threads = self.part.start, ["-threads", str(self.threads)]
        chosen = f"settb={self.tick},trim=start_pts={start}:end_pts={self.part.end},setpts=PTS-({start})"
        beat = self.tick if self.rate is None else 1 / self.rate
        return [
            *_reading_from(ffmpeg, source, None if self.number == 0 else self.part.seek * self.tick, threads),
            *PROGRESS,
            *("-map", "0:V:0", *video_encoding(PRESETS[self.preset], crf=self.crf)),
            *(
                "-vf",
                f"{chosen},{scaling(self.height)}",
                "-fps_mode",
                "passthrough",
                "-enc_time_base",
                f"{beat.numerator}:{beat.denominator}",
            ),
            *(*threads, "-an", "-sn", "-dn", "-f", "mp4", "-y", f"file:{path}"),  # mp4 keeps times exactly, webm does not
        ]


def _reading_from(ffmpeg: str, source: Path, seek: Fraction | None, threads: list[str]) -> list[str]:
    """Begin to decode at the keyframe of that time, or before it, and leave times as they are in the file."""
    *start, option, name = reading(ffmpeg, source)
    there: list[str] = []
    if seek is not None:
        # Rounded up: a microsecond short of its keyframe, a whole group of frames more would be decoded.
        there = ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{math.ceil(seek * 10**6)}us"]
    return [*start, "-copyts", *there, *threads, option, name]


class Sound(FilmChild[Part], kind="media.sound"):
    """Transcode the sound that goes with a preset's picture, whole: pieces of sound would leave gaps between them.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing on this host, or may not be read | `SourceMissing` | no |
    | it is not what was surveyed, or changes | `SourceChanged` | yes |
    | what was made cannot be decoded | `OutputWrong` | yes |
    | a place that is not open to jobs, an output larger than `output_max_bytes` | `Refused` | no |
    | no ffmpeg here, or one without the preset's encoders | `NotInstalled` | yes |
    | the workshop is gone | `WorkError` | yes |
    | ffmpeg stands still for `stall_max_seconds` | `Stalled` | yes |
    | ffmpeg crashes or fails in another way (disk full) | `ProgramFailed` | yes |
    """

    source: Place
    identity: Identity
    folder: Place
    seconds: float
    audio_kbps: int | None = None
    decode: bool = True
    output_max_bytes: OutputBytes = None

    def run(self, ctx: Context[Progress, Trouble]) -> Part:
        with typed(ctx, target=self.folder):
            source = source_file(ctx.locations, self.source, instead="name a file in it")
            same_or_stop(source, self.identity, where=self.source)
            preset, meter, name = PRESETS[self.preset], Meter(ctx.report), "sound"
            with ctx.output(f"{self.folder}/{name}", replace=True) as out:
                sound = ["-map", "0:a:0", "-vn", *sound_encoding(preset, audio_kbps=self.audio_kbps), "-sn", "-dn"]
                command = [*reading(find_ffmpeg(), source), *PROGRESS, *sound, "-f", preset.muxer, "-y", f"file:{out.path}"]
                meter.start("encoding sound", total=self.seconds, unit="seconds")
                written = follow(ctx, command, meter, made=self.preset, bounds=self._bounds(out.path))
                same_or_stop(source, self.identity, where=self.source)
                if self.decode:
                    decode_all(ctx, out.path, meter, frames=0, threads=1, bounds=self._bounds(out.path))
                return _measured(out.path, name, written.seconds, meter)

    def _bounds(self, path: Path) -> Bounds:
        return Bounds(where=self.source, output=path, stall_seconds=self.stall_max_seconds, bytes_max=self.output_max_bytes)


class Whole(Transcode, kind="media.whole"):
    """`media.transcode` in the queue of a `media.chunked_transcode` whose film is not to be cut."""

    queue: str = "default"

    config = JobConfig(backoff="2s", timeout=None, memory=None)

    @override
    def configure(self) -> JobConfig:
        return replace(self.config, queue=self.queue)


def _measured(path: Path, name: str, seconds: float, meter: Meter) -> Part:
    size = path.stat().st_size
    meter.start("digesting", total=size)
    return Part(name=name, frames=0, seconds=seconds, bytes=size, sha256=sha256_of(path, meter=meter))
