"""`media.join`: the pieces of a film and its sound into one file, checked packet by packet and decoded to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

from loguru import logger
from pydantic import BaseModel
from typing_extensions import override

from heavyjobs.context import Context
from heavyjobs.errors import ProgramFailed
from heavyjobs.job import Job, JobConfig
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.encode import PROGRESS, follow
from heavyjobs.jobs.media import find_ffmpeg, probe, reading
from heavyjobs.jobs.packets import Listing, list_packets
from heavyjobs.jobs.pieces import Part
from heavyjobs.jobs.places import source_file
from heavyjobs.jobs.presets import PRESETS, PresetName
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import OutputWrong, SourceMissing, Stopped, Trouble, stop, typed
from heavyjobs.jobs.watchdog import STALL_SECONDS, Bounds, OutputBytes, StallSeconds
from heavyjobs.locations import Place


class Joined(BaseModel):
    """The film, in the workshop; `seconds` is its picture's length."""

    name: str
    frames: int
    seconds: float
    width: int | None
    height: int | None
    bytes: int
    sha256: str


class Join(Job[Joined, Progress, Trouble], kind="media.join"):
    """Join the pieces of a film and its sound, and check the outcome: `media.chunked_transcode` asks.

    It counts when it has every frame, its times ascend, its picture is as long as the source's to within one frame, and all
    of it can be decoded.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | a piece is missing on this host, or is not the one that was made | `OutputWrong` | yes |
    | the film is not as it must be | `OutputWrong` | yes |
    | a place that is not open to jobs, an output larger than `output_max_bytes` | `Refused` | no |
    | no ffmpeg here | `NotInstalled` | yes |
    | ffmpeg stands still for `stall_max_seconds` | `Stalled` | yes |
    | ffmpeg crashes or fails in another way (disk full) | `ProgramFailed` | yes |
    """

    folder: Place
    pieces: list[Part]
    lengths: list[Fraction]
    begins_seconds: float = 0
    sound: Part | None = None
    preset: PresetName
    decode: bool = True
    stall_max_seconds: StallSeconds = STALL_SECONDS
    output_max_bytes: OutputBytes = None
    queue: str = "default"

    config = JobConfig(backoff="2s", timeout=None, memory=None)

    @override
    def configure(self) -> JobConfig:
        return replace(self.config, queue=self.queue)

    def run(self, ctx: Context[Progress, Trouble]) -> Joined:
        with typed(ctx, target=self.folder):
            meter = Meter(ctx.report)
            parts = [*self.pieces, *([self.sound] if self.sound else [])]
            meter.start("reading pieces", total=sum(part.bytes for part in parts))
            paths = [self._path(ctx, part, meter) for part in parts]
            film = write_list(ctx.workspace, paths[: len(self.pieces)], self.lengths)
            with ctx.output(f"{self.folder}/joined", replace=True) as out:
                self._join(ctx, film, paths[len(self.pieces) :], out.path, meter)
                joined = self._check(ctx, out.path, meter)
            logger.info("joined {} pieces: {} frames", len(self.pieces), joined.frames)
            return joined

    def _path(self, ctx: Context[Progress, Trouble], part: Part, meter: Meter) -> Path:
        """Where a part lies, once it is known to be the one that was made."""
        place = f"{self.folder}/{part.name}"
        try:
            path = source_file(ctx.locations, place, instead="nothing: these are made by the job itself")
        except Stopped as stopped:
            if isinstance(stopped.trouble, SourceMissing):  # a network's file system may show it a moment later
                stop(OutputWrong, "is missing on this host", where=place, would_do="let all hosts reach the target's folder")
            raise
        if path.stat().st_size != part.bytes or sha256_of(path, meter=meter) != part.sha256:
            stop(OutputWrong, "is not the piece that was made", where=place, would_do="try again")
        return path

    def _join(self, ctx: Context[Progress, Trouble], film: Path, sound: list[Path], path: Path, meter: Meter) -> None:
        ffmpeg, preset = find_ffmpeg(), PRESETS[self.preset]
        command = [*_reading_list(ffmpeg, film, begins_seconds=self.begins_seconds)]
        for one in sound:
            _, _, _, *options = reading(ffmpeg, one)  # without the program and what is said once
            command += options
        streams = ["-map", "0:v:0", *(["-map", "1:a:0"] if sound else []), "-c", "copy", *preset.container]
        meter.start("joining", total=float(sum(self.lengths)), unit="seconds")
        command += [*PROGRESS, *streams, "-f", preset.muxer, "-y", f"file:{path}"]
        follow(ctx, command, meter, made=self.preset, bounds=self._bounds(path))

    def _bounds(self, path: Path) -> Bounds:
        return Bounds(where=self.folder, output=path, stall_seconds=self.stall_max_seconds, bytes_max=self.output_max_bytes)

    def _check(self, ctx: Context[Progress, Trouble], path: Path, meter: Meter) -> Joined:
        ffmpeg, frames, seconds = find_ffmpeg(), sum(part.frames for part in self.pieces), float(sum(self.lengths))
        meter.start("checking", total=seconds, unit="seconds")
        listing = list_packets(ctx, ffmpeg, path, "video", where=self.folder)
        fault = fault_in(listing, frames=frames, seconds=seconds)
        if fault is None and self.sound:
            fault = fault_in_order(list_packets(ctx, ffmpeg, path, "sound", where=self.folder))
        if fault is None and self.decode:
            fault = _decoding_fault(ctx, ffmpeg, path, meter, frames=frames, bounds=self._bounds(path))
        if fault is not None:
            stop(OutputWrong, f"the joined film {fault}", where=self.folder, would_do="try again, or use media.transcode")
        found, size = probe(ctx, ffmpeg, path, where=self.folder), path.stat().st_size
        meter.start("digesting", total=size)
        return Joined(
            name="joined",
            frames=frames,
            seconds=seconds,
            width=found.width,
            height=found.height,
            bytes=size,
            sha256=sha256_of(path, meter=meter),
        )


def write_list(folder: Path, pieces: Sequence[Path], lengths: Sequence[Fraction]) -> Path:
    """A list for ffmpeg's concat demuxer, in a folder of its own with links to the pieces: it trusts no other names.

    Each piece begins where the ones before it end by exact sums, so that rounding never adds up.
    """
    ends = [round(end * 10**6) for end in accumulate(lengths, initial=Fraction(0))]
    lines = ["ffconcat version 1.0"]
    for number, (piece, (begin, end)) in enumerate(zip(pieces, pairwise(ends), strict=True)):
        (folder / f"{number}.mp4").symlink_to(piece)
        lines += [f"file {number}.mp4", f"duration {end - begin}us"]
    film = folder / "film.ffconcat"
    film.write_text("\n".join([*lines, ""]), "ascii")
    return film


def _reading_list(ffmpeg: str, film: Path, *, begins_seconds: float) -> list[str]:
    """Read pieces that we made; as late as the picture begins after the sound."""
    limits = ["-format_whitelist", "concat,mov", "-protocol_whitelist", "file", "-safe", "1"]
    late = ["-copyts", "-itsoffset", f"{round(begins_seconds * 10**6)}us"]
    return [ffmpeg, "-hide_banner", "-nostdin", *late, *limits, "-f", "concat", "-i", f"file:{film}"]


def fault_in(listing: Listing, *, frames: int, seconds: float) -> str | None:
    """What is wrong with the picture of a film that should have so many frames and last so long."""
    packets = listing.packets
    shown = [packet.shown for packet in packets if packet.shown is not None]
    if len(packets) != frames or len(set(shown)) != frames:
        return f"has {len(packets)} frames with {len(set(shown))} times instead of {frames}"
    last = max(packets, key=lambda packet: packet.shown or 0)
    lasts = float((max(shown) + last.length - min(shown)) * listing.tick)
    if abs(lasts - seconds) > seconds / frames:
        return f"lasts {lasts:.3f} s instead of {seconds:.3f} s"
    return fault_in_order(listing)


def fault_in_order(listing: Listing) -> str | None:
    """What is wrong with the order in which packets are to be decoded."""
    times = [packet.decoded for packet in listing.packets]
    for number, (before, after) in enumerate(pairwise(times)):
        if before is None or after is None or after <= before:
            return f"goes back in time at packet {number + 1}: from {before} to {after}"
    return None


def _decoding_fault(
    ctx: Context[Progress, Trouble], ffmpeg: str, path: Path, meter: Meter, *, frames: int, bounds: Bounds
) -> str | None:
    meter.start("decoding", total=None, unit="seconds")
    command = [*reading(ffmpeg, path), *PROGRESS, "-xerror", "-map", "0", "-fps_mode", "passthrough", "-f", "null", "-"]
    try:
        decoded = follow(ctx, command, meter, made="decoding", bounds=bounds).frames
    except ProgramFailed as failed:
        if failed.code is None:
            raise
        return f"cannot be decoded: {failed.tail[-1] if failed.tail else 'ffmpeg says nothing'}"
    return None if decoded == frames else f"decodes to {decoded} frames instead of {frames}"
