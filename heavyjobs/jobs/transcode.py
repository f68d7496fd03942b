"""`media.transcode`: one video or sound file into another by a named preset, checked before it appears."""

from __future__ import annotations

from pathlib import Path

from loguru import logger
from pydantic import BaseModel

from heavyjobs.context import Context
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.encode import PROGRESS, encode
from heavyjobs.jobs.examine import examine, examine_made
from heavyjobs.jobs.facts import Facts, tolerance
from heavyjobs.jobs.film_jobs import FilmJob, check_name, check_streams
from heavyjobs.jobs.finished import finish, finished
from heavyjobs.jobs.media import find_ffmpeg, reading
from heavyjobs.jobs.places import source_file, target_path, unchanging
from heavyjobs.jobs.presets import PRESETS, Preset, PresetName, encoding, ways
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import NotInstalled, OutputWrong, Stopped, Trouble, Unreadable, shown, stop, typed
from heavyjobs.jobs.watchdog import Bounds, output_bound
from heavyjobs.units import show_bytes, show_seconds


class Transcoded(BaseModel):
    """What was made.

    Attributes:
        target: as the parameters say it. path: where that is on the host that wrote it.
        preset, preset_version: how it was made.
        duration_seconds: of the output. frames: of its video; 0 without one. width, height: in pixels; None without video.
        source_bytes, bytes: sizes of both files.
        sha256: of the output.
    """

    target: str
    path: str
    preset: PresetName
    preset_version: int
    duration_seconds: float
    frames: int
    width: int | None
    height: int | None
    source_bytes: int
    bytes: int
    sha256: str


class Transcode(FilmJob[Transcoded], kind="media.transcode"):
    """Transcode the first video and the first audio stream of a file.

    `height` makes a larger picture so many lines high and keeps its shape; a smaller one stays. `crf` is the preset's own
    measure of quality, smaller is better and larger in bytes. The output is opened and its duration compared before it appears.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | it changes while it is read | `SourceChanged` | yes |
    | no media file, a playlist, no stream that the preset wants, one that ends before its time | `Unreadable` | no |
    | a place that is not open to jobs, more streams, pixels or seconds than any film has | `Refused` | no |
    | pictures or sound that the preset's encoder does not take, like sides beyond 16384 pixels | `Refused` | no |
    | an output larger than `output_max_bytes` | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | a name that does not fit the preset, no such folder | `TargetUnusable` | no |
    | the output is not what ffmpeg said that it wrote | `OutputWrong` | yes |
    | no ffmpeg here, or one without the preset's encoders; nothing that reads media files | `NotInstalled` | yes |
    | ffmpeg stands still for `stall_max_seconds` | `Stalled` | yes |
    | ffmpeg crashes or fails in another way (disk full) | `ProgramFailed` | yes |
    """

    def run(self, ctx: Context[Progress, Trouble]) -> Transcoded:
        with typed(ctx, target=self.target):
            return finished(ctx, Transcoded) or self._publish(ctx)

    def _publish(self, ctx: Context[Progress, Trouble]) -> Transcoded:
        check_name(self.target, self.preset, suffixes=PRESETS[self.preset].suffixes, others=PRESETS)
        source = source_file(ctx.locations, self.source, instead="name a file in it")
        target = target_path(ctx.locations, self.target, overwrite=self.overwrite)
        with ctx.output(self.target, replace=self.overwrite) as out:
            with unchanging(source, where=self.source):
                made = self._transcode(ctx, source, out.path, path=target)
            finish(ctx, out, made, path=target)
        logger.info("wrote {}: {}, {}", shown(self.target), show_seconds(made.duration_seconds), show_bytes(made.bytes))
        return made

    def _transcode(self, ctx: Context[Progress, Trouble], source: Path, part: Path, *, path: Path) -> Transcoded:
        ffmpeg, meter = find_ffmpeg(), Meter(ctx.report)
        found = examine(ctx, source, where=self.source)
        check_streams(found, PRESETS[self.preset], where=self.source)
        bounds = self._bounds(part, source.stat().st_size)
        frames, seconds = self._encode(ctx, reading(ffmpeg, source), bounds, found, meter)
        made = examine_made(ctx, part, where=self.target)
        self._check_made(found, made, seconds)
        size = part.stat().st_size
        meter.start("digesting", total=size)
        return Transcoded(
            target=self.target,
            path=str(path),
            preset=self.preset,
            preset_version=PRESETS[self.preset].version,
            duration_seconds=made.duration_seconds or seconds,
            frames=frames,
            width=made.film.width if made.film else None,
            height=made.film.height if made.film else None,
            source_bytes=source.stat().st_size,
            bytes=size,
            sha256=sha256_of(part, meter=meter),
        )

    def _bounds(self, part: Path, source_bytes: int) -> Bounds:
        most = output_bound(self.output_max_bytes, source_bytes)
        return Bounds(where=self.source, output=part, stall_seconds=self.stall_max_seconds, bytes_max=most)

    def _arguments(self, preset: Preset, path: Path) -> list[str]:
        options = encoding(preset, height=self.height, crf=self.crf, audio_kbps=self.audio_kbps)
        return [*PROGRESS, *options, "-y", f"file:{path}"]

    def _encode(
        self, ctx: Context[Progress, Trouble], start: list[str], bounds: Bounds, found: Facts, meter: Meter
    ) -> tuple[int, float]:
        """Run ffmpeg with the first of the preset's encoders that it has; give the frames and seconds that it says it wrote."""
        total = found.duration_seconds
        length = "of unknown length" if total is None else show_seconds(total)
        logger.info("transcoding {}: {}, {}", shown(self.source), (found.film or found.audio[0]).codec, length)
        missing: Stopped | None = None
        for preset in ways(PRESETS[self.preset]):
            argv = [*start, *self._arguments(preset, bounds.output)]
            try:
                return encode(ctx, argv, meter, phase="transcoding", total=total, made=self.preset, bounds=bounds)
            except Stopped as lacking:
                if not isinstance(lacking.trouble, NotInstalled):
                    raise
                missing = lacking
        assert missing is not None  # noqa: S101 - a preset has one way at least
        raise missing

    def _check_made(self, found: Facts, made: Facts, seconds: float) -> None:
        """Compare the output with what ffmpeg wrote, and with the source.

        Raises:
            Stopped: OutputWrong; Unreadable, when the source ended before its time.
        """
        lasts, expected = made.duration_seconds, found.exact_seconds
        if lasts is None or abs(lasts - seconds) > tolerance(seconds):
            what = f"lasts {lasts} s instead of {seconds:.2f} s"
            stop(OutputWrong, what, where=self.target, would_do="try again, and see ffmpeg's lines in the log")
        if expected is None or lasts >= expected - tolerance(expected):
            return
        what = f"only {lasts:.2f} of {expected:.2f} s can be decoded"
        if PRESETS[self.preset].video or not found.film:
            stop(Unreadable, what, where=self.source, would_do="check that it is whole")
        logger.warning("{}: {}; its sound may be shorter than its picture", shown(self.source), what)
