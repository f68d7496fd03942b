"""`media.extract_audio`: the sound of a film or sound file, as a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from loguru import logger
from pydantic import BaseModel, Field, model_validator

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.encode import PROGRESS, encode
from heavyjobs.jobs.examine import examine, examine_made
from heavyjobs.jobs.facts import EXACT, AudioStream, Facts, tolerance
from heavyjobs.jobs.film_jobs import check_kbps, check_name
from heavyjobs.jobs.finished import finish, finished
from heavyjobs.jobs.media import find_ffmpeg, reading
from heavyjobs.jobs.places import source_file, target_path, unchanging
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.sounds import SOUNDS, Sound, SoundName, copies, sounding
from heavyjobs.jobs.trouble import OutputWrong, Trouble, Unreadable, shown, stop, typed
from heavyjobs.jobs.watchdog import STALL_SECONDS, Bounds, OutputBytes, StallSeconds, output_bound
from heavyjobs.locations import Place
from heavyjobs.units import show_bytes, show_seconds


class ExtractedAudio(BaseModel):
    """What was made.

    Attributes:
        target: as the parameters say it. path: where that is on the host that wrote it.
        preset, preset_version: how it was made. copied: whether the stream was taken as it was, without encoding it again.
        duration_seconds, codec, channels, sample_rate: of the output.
        source_bytes, bytes: sizes of both files.
        sha256: of the output.
    """

    target: str
    path: str
    preset: SoundName
    preset_version: int
    copied: bool
    duration_seconds: float
    codec: str
    channels: int
    sample_rate: int | None
    source_bytes: int
    bytes: int
    sha256: str


class ExtractAudio(Job[ExtractedAudio, Progress, Trouble], kind="media.extract_audio"):
    """Write one audio stream of a file to a file of its own, as loud as it was.

    A stream that is of the preset's codec is copied bit by bit, unless `audio_kbps` is given. Channels are kept, but mp3
    holds two: more are mixed down, with a warning in the log. `stream` counts the audio streams from 0. Without
    `audio_kbps`, lossy presets take so much for each channel. The output's duration is compared before it appears.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | it changes while it is read | `SourceChanged` | yes |
    | no media file, a playlist, no such audio stream, more channels than the format holds | `Unreadable` | no |
    | a source whose sound ends before its time | `Unreadable` | no |
    | a place that is not open to jobs, more streams, pixels or seconds than any film has | `Refused` | no |
    | pictures or sound that the preset's encoder does not take, like sides beyond 16384 pixels | `Refused` | no |
    | an output larger than `output_max_bytes` | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | a name that does not fit the preset, no such folder | `TargetUnusable` | no |
    | the output is not what ffmpeg said that it wrote | `OutputWrong` | yes |
    | no ffmpeg here, or one without the preset's encoder | `NotInstalled` | yes |
    | ffmpeg stands still for `stall_max_seconds` | `Stalled` | yes |
    | ffmpeg crashes or fails in another way (disk full) | `ProgramFailed` | yes |
    """

    source: Place
    target: Place
    preset: SoundName = "m4a-aac"
    stream: Annotated[int, Field(ge=0, le=999)] = 0
    audio_kbps: Annotated[int, Field(ge=16, le=1024)] | None = None
    stall_max_seconds: StallSeconds = STALL_SECONDS
    output_max_bytes: OutputBytes = None
    overwrite: bool = False

    config = JobConfig(timeout=None, memory=None)

    @model_validator(mode="after")
    def _fits_preset(self) -> Self:
        check_kbps(self.preset, self.audio_kbps, lossy=self._sound.kbps > 0)
        return self

    @property
    def _sound(self) -> Sound:
        return SOUNDS[self.preset]

    def run(self, ctx: Context[Progress, Trouble]) -> ExtractedAudio:
        with typed(ctx, target=self.target):
            return finished(ctx, ExtractedAudio) or self._publish(ctx)

    def _publish(self, ctx: Context[Progress, Trouble]) -> ExtractedAudio:
        check_name(self.target, self.preset, suffixes=self._sound.suffixes, others=SOUNDS)
        source = source_file(ctx.locations, self.source, instead="name a file in it")
        target = target_path(ctx.locations, self.target, overwrite=self.overwrite)
        with ctx.output(self.target, replace=self.overwrite) as out:
            with unchanging(source, where=self.source):
                made = self._extract(ctx, source, out.path, path=target)
            finish(ctx, out, made, path=target)
        logger.info("wrote {}: {}, {}", shown(self.target), show_seconds(made.duration_seconds), show_bytes(made.bytes))
        return made

    def _extract(self, ctx: Context[Progress, Trouble], source: Path, part: Path, *, path: Path) -> ExtractedAudio:
        ffmpeg, meter = find_ffmpeg(), Meter(ctx.report)
        facts = examine(ctx, source, where=self.source)
        stream = self._stream(facts)
        copied = copies(self._sound, stream, kbps=self.audio_kbps)
        self._tell(stream, copied=copied)
        options = sounding(self._sound, stream, number=self.stream, kbps=self.audio_kbps)
        argv = [*reading(ffmpeg, source), *PROGRESS, *options, "-y", f"file:{part}"]
        most = output_bound(self.output_max_bytes, source.stat().st_size)
        bounds = Bounds(where=self.source, output=part, stall_seconds=self.stall_max_seconds, bytes_max=most)
        said = encode(ctx, argv, meter, phase="extracting", total=facts.duration_seconds, made=self.preset, bounds=bounds)
        made = examine_made(ctx, part, where=self.target)
        if not made.audio:
            stop(Unreadable, "has no sound that can be read", where=self.source, would_do="check that it is whole")
        seconds = made.duration_seconds or 0.0
        if not copied:  # a copy keeps the times of the source, from which it may begin late
            self._check_made(seconds, said.seconds)
        self._check_whole(facts, stream, seconds)
        return self._result(made, part, path, source_bytes=source.stat().st_size, copied=copied, meter=meter)

    def _result(self, made: Facts, part: Path, path: Path, *, source_bytes: int, copied: bool, meter: Meter) -> ExtractedAudio:
        size = part.stat().st_size
        meter.start("digesting", total=size)
        return ExtractedAudio(
            target=self.target,
            path=str(path),
            preset=self.preset,
            preset_version=self._sound.version,
            copied=copied,
            duration_seconds=made.duration_seconds or 0.0,
            codec=made.audio[0].codec or self._sound.codec,
            channels=made.audio[0].channels,
            sample_rate=made.audio[0].sample_rate,
            source_bytes=source_bytes,
            bytes=size,
            sha256=sha256_of(part, meter=meter),
        )

    def _stream(self, facts: Facts) -> AudioStream:
        if self.stream >= len(facts.audio):
            what = f"has no audio stream {self.stream}: there are {len(facts.audio)}" if facts.audio else "has no audio stream"
            stop(Unreadable, what, where=self.source, would_do="use a stream that media.probe lists, counted from 0")
        stream = facts.audio[self.stream]
        if stream.codec is None or not stream.channels:
            stop(Unreadable, "has sound that ffmpeg cannot decode", where=self.source, would_do="use another stream")
        if stream.channels > self._sound.channels_max:
            what = f"has {stream.channels} channels, and {self.preset} holds {self._sound.channels_max}"
            stop(Unreadable, what, where=self.source, would_do="use the preset wav")
        return stream

    def _tell(self, stream: AudioStream, *, copied: bool) -> None:
        how = "copying" if copied else "encoding"
        logger.info("{} {}: {}, {} channels", how, shown(self.source), stream.codec, stream.channels)
        if self._sound.mixes_down and stream.channels > 2:
            logger.warning("{} holds two channels: {} are mixed down, not as loud as before", self.preset, stream.channels)

    def _check_made(self, seconds: float, said: float) -> None:
        if abs(seconds - said) > tolerance(said):
            what = f"lasts {seconds:.2f} s instead of {said:.2f} s"
            stop(OutputWrong, what, where=self.target, would_do="try again, and see ffmpeg's lines in the log")

    def _check_whole(self, facts: Facts, stream: AudioStream, seconds: float) -> None:
        """Compare with what the source says of its sound, where it says it."""
        expected = expected_seconds(facts, stream)
        if expected is not None and seconds < expected - tolerance(expected):
            what = f"only {seconds:.2f} of {expected:.2f} s of its sound can be read"
            stop(Unreadable, what, where=self.source, would_do="check that it is whole")


def expected_seconds(facts: Facts, stream: AudioStream) -> float | None:
    """How long the sound of a file has to be; None where the file does not say it for sure."""
    if facts.container not in EXACT:
        return None
    if stream.duration_seconds is not None:
        return stream.duration_seconds
    return facts.duration_seconds if len(facts.audio) == 1 and facts.film is None else None
