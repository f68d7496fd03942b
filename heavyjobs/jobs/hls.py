"""`media.hls`: a film in several sizes and small segments, as one folder that a web server only has to hand out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.examine import examine
from heavyjobs.jobs.facts import Facts, VideoStream, tolerance
from heavyjobs.jobs.hls_folder import MASTER, lay_out, unlike
from heavyjobs.jobs.kept import kept, remove_tree
from heavyjobs.jobs.ladder import LADDER, SOUND_VERSION, RenditionName, SegmentSort, fitting, picture, sound
from heavyjobs.jobs.media import find_ffmpeg
from heavyjobs.jobs.places import source_file, target_path, unchanging
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.rendering import Rendered, Wanted, is_still, render
from heavyjobs.jobs.trouble import OutputWrong, Trouble, Unreadable, shown, stop, typed
from heavyjobs.jobs.watchdog import STALL_SECONDS, Bounds, OutputBytes, StallSeconds, output_bound
from heavyjobs.locations import Place
from heavyjobs.units import show_bytes, show_seconds

SOUND: Final = "sound"
USUAL: Final[tuple[RenditionName, ...]] = ("1080p", "720p", "480p", "360p")


class HlsMade(BaseModel):
    """What was made.

    Attributes:
        target: as the parameters say it. path: where that folder is on the host that wrote it.
        master: the playlist that players open; the others lie in folders named after their renditions.
        renditions: largest first. sound: what goes with all of them; None for a silent film.
        left_out: renditions that would have made the film larger.
        duration_seconds: of the renditions. files, bytes: in the folder.
        sha256: of the master playlist and the digests of all renditions.
    """

    target: str
    path: str
    master: str
    renditions: list[Rendered]
    sound: Rendered | None
    left_out: list[RenditionName]
    duration_seconds: float
    files: int
    bytes: int
    sha256: str


class _Source(BaseModel):
    """By what a source is known to be the same as in an earlier attempt."""

    bytes: int
    mtime_ns: int


class _Done(BaseModel):
    """The checkpoint: which renditions are finished, and of which source."""

    source: _Source
    rendered: list[Rendered]


class MakeHls(Job[HlsMade, Progress, Trouble], kind="media.hls"):
    """Make HLS renditions of a film: one folder with a master playlist, and a folder of segments for each rendition.

    Pictures become H.264 in each of the sizes that the film is large enough for (names count the shorter side), with key frames
    at the same times in all, so that players can change between them at any segment. The first audio stream becomes stereo AAC,
    once, for all of them. A finished rendition is kept, in a hidden folder beside the target: after a crash only the one that
    was being made is made again.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | it changes while it is read | `SourceChanged` | yes |
    | no media file, a playlist, no video, no duration, one that ends before its time | `Unreadable` | no |
    | a place that is not open to jobs, more streams, pixels or seconds than any film has | `Refused` | no |
    | pictures or sound that the preset's encoder does not take, like sides beyond 16384 pixels | `Refused` | no |
    | an output larger than `output_max_bytes` | `Refused` | no |
    | the target exists, and `overwrite` is false | `TargetTaken` | no |
    | no such folder for it, a name that is too long | `TargetUnusable` | no |
    | a rendition is not what its playlist says, or its segments are not those of the others | `OutputWrong` | yes |
    | the source changed between two attempts | all is made again | |
    | no ffmpeg here, or one without x264 | `NotInstalled` | yes |
    | ffmpeg stands still for `stall_max_seconds` | `Stalled` | yes |
    | ffmpeg crashes or fails in another way (disk full) | `ProgramFailed` | yes |
    """

    source: Place
    target: Place
    renditions: Annotated[tuple[RenditionName, ...], Field(min_length=1)] = USUAL
    segments: SegmentSort = "fmp4"
    segment_seconds: Annotated[float, Field(ge=1, le=30)] = 6
    stall_max_seconds: StallSeconds = STALL_SECONDS
    output_max_bytes: OutputBytes = None
    overwrite: bool = False

    config = JobConfig(timeout=None, memory=None)

    def run(self, ctx: Context[Progress, Trouble]) -> HlsMade:
        with typed(ctx, target=self.target):
            source = source_file(ctx.locations, self.source, instead="name a file in it")
            target = target_path(ctx.locations, self.target, overwrite=self.overwrite, folder=True)
            with kept(ctx, target) as folder:
                with unchanging(source, where=self.source):
                    facts = examine(ctx, source, where=self.source)
                    film, seconds = self._film(facts)
                    rendered = self._render_all(ctx, source, folder, facts, film, seconds=seconds)
                with ctx.output(self.target, replace=self.overwrite) as out:
                    made = self._made(folder, out.path, rendered, facts, path=target)
            logger.info("wrote {}: {} renditions, {}", shown(self.target), len(made.renditions), show_bytes(made.bytes))
            return made

    def _film(self, facts: Facts) -> tuple[VideoStream, float]:
        film = facts.film
        if film is None:
            stop(Unreadable, "has no video stream", where=self.source, would_do="use media.extract_audio for sound alone")
        seconds = film.duration_seconds or facts.duration_seconds
        if not seconds:
            stop(Unreadable, "does not say how long it is", where=self.source, would_do="use media.transcode first")
        return film, seconds

    def _wanted(self, facts: Facts, film: VideoStream) -> list[Wanted]:
        """What is to be made: pictures from the largest to the smallest, then the sound."""
        names = fitting(self.renditions, side=min(film.width, film.height))
        length = self.segment_seconds
        wanted = [self._want(name, LADDER[name].version, picture(LADDER[name], segment_seconds=length)) for name in names]
        return [*wanted, self._want(SOUND, SOUND_VERSION, sound())] if facts.audio else wanted

    def _want(self, name: str, version: int, arguments: list[str]) -> Wanted:
        return Wanted(
            name=name,
            version=version,
            arguments=arguments,
            sort=self.segments,
            segment_seconds=self.segment_seconds,
        )

    def _render_all(
        self, ctx: Context[Progress, Trouble], source: Path, folder: Path, facts: Facts, film: VideoStream, *, seconds: float
    ) -> list[Rendered]:
        """Have all renditions in `folder`, those included that an earlier attempt has finished."""
        ffmpeg, meter = find_ffmpeg(), Meter(ctx.report)
        now = source.stat()
        same = _Source(bytes=now.st_size, mtime_ns=now.st_mtime_ns)
        finished = _finished_before(ctx, same)
        logger.info("making renditions of {}: {}", shown(self.source), show_seconds(seconds))
        wanted, made = self._wanted(facts, film), set[str]()
        for want in wanted:
            one, place = finished.get(want.name), folder / want.name
            if one is not None and one.version == want.version and is_still(place, one, meter=meter):
                logger.info("{} is finished already", want.name)
            else:
                remove_tree(ctx, place)
                bounds = self._bounds(place, now.st_size, [finished[other.name] for other in wanted if other.name in made])
                one = render(ctx, ffmpeg, source, want, bounds, seconds=seconds, meter=meter, where=self.target)
                logger.info("finished {}: {} segments, {}", one.name, one.segments, show_bytes(one.bytes))
                finished[want.name] = one  # those that were not looked at yet stay in the checkpoint
                ctx.checkpoint(_Done(source=same, rendered=list(finished.values())))
            made.add(want.name)
            self._check_whole(one, facts, film)
        rendered = [finished[want.name] for want in wanted]
        self._check_longest(rendered, facts)
        return rendered

    def _bounds(self, folder: Path, source_bytes: int, made: list[Rendered]) -> Bounds:
        return Bounds(
            where=self.source,
            output=folder,
            stall_seconds=self.stall_max_seconds,
            bytes_max=output_bound(self.output_max_bytes, source_bytes),
            bytes_before=sum(one.bytes for one in made),
        )

    def _check_whole(self, one: Rendered, facts: Facts, film: VideoStream) -> None:
        stream = facts.audio[0] if one.width is None else film
        expected = stream.duration_seconds
        if expected is not None and one.duration_seconds < expected - tolerance(expected):
            what = f"only {one.duration_seconds:.2f} of {expected:.2f} s can be read for {one.name}"
            stop(Unreadable, what, where=self.source, would_do="check that it is whole")

    def _check_longest(self, rendered: list[Rendered], facts: Facts) -> None:
        """For a source that says only how long all of it is: something in it has to be as long."""
        longest, expected = max(one.duration_seconds for one in rendered), facts.exact_seconds
        if expected is None or facts.other:
            return
        if longest < expected - 1 - expected / 100:
            what = f"only {longest:.2f} of {expected:.2f} s can be read"
            stop(Unreadable, what, where=self.source, would_do="check that it is whole")

    def _made(self, folder: Path, out: Path, rendered: list[Rendered], facts: Facts, *, path: Path) -> HlsMade:
        if what := unlike(rendered):
            stop(OutputWrong, what, where=self.target, would_do="try again, and see ffmpeg's lines in the log")
        sha256 = lay_out(folder, out, rendered, facts, sort=self.segments)
        files = [file for file in out.rglob("*") if file.is_file()]
        pictures = [one for one in rendered if one.width is not None]
        return HlsMade(
            target=self.target,
            path=str(path),
            master=MASTER,
            renditions=pictures,
            sound=next((one for one in rendered if one.width is None), None),
            left_out=[name for name in dict.fromkeys(self.renditions) if name not in {one.name for one in pictures}],
            duration_seconds=pictures[0].duration_seconds,
            files=len(files),
            bytes=sum(file.stat().st_size for file in files),
            sha256=sha256,
        )


def _finished_before(ctx: Context[Progress, Trouble], source: _Source) -> dict[str, Rendered]:
    """What earlier attempts have finished of the very same source, by name."""
    done = ctx.resume(_Done)
    if done is None:
        return {}
    if done.source != source:
        logger.warning("the source has changed since the last attempt: all is made again")
        return {}
    return {one.name: one for one in done.rendered}
