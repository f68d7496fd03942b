"""`media.join`: the pieces of a film and its sound into one file, which is checked packet by packet."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

from loguru import logger
from pydantic import BaseModel

from heavyjobs.context import Context
from heavyjobs.jobs.digest import sha256_of
from heavyjobs.jobs.encode import PROGRESS, follow
from heavyjobs.jobs.film_jobs import FilmChild
from heavyjobs.jobs.media import find_ffmpeg, reading
from heavyjobs.jobs.packets import DIGESTS, Asked, Listing, digest_packets, list_packets
from heavyjobs.jobs.pieces import Part
from heavyjobs.jobs.places import source_file
from heavyjobs.jobs.presets import PRESETS, Preset
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import OutputWrong, SourceMissing, Stopped, Trouble, stop, typed
from heavyjobs.jobs.watchdog import Bounds, OutputBytes
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


class Join(FilmChild[Joined], kind="media.join"):
    """Join the pieces of a film and its sound, and check the outcome: `media.chunked_transcode` asks.

    It counts when it has every frame, its times ascend, its picture is as long as the source's to within one frame, and it
    holds the packets of the pieces and of the sound bit by bit: those were decoded where they were made.

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
    output_max_bytes: OutputBytes = None

    def run(self, ctx: Context[Progress, Trouble]) -> Joined:
        with typed(ctx, target=self.folder):
            meter = Meter(ctx.report)
            parts = [*self.pieces, *([self.sound] if self.sound else [])]
            meter.start("reading pieces", total=sum(part.bytes for part in parts))
            paths = [self._path(ctx, part, meter) for part in parts]
            film = write_list(ctx.workspace, paths[: len(self.pieces)], self.lengths)
            with ctx.output(f"{self.folder}/joined", replace=True) as out:
                read = self._join(ctx, film, paths[len(self.pieces) :], out.path, meter)
                joined = self._check(ctx, out.path, meter, read=read)
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

    def _join(self, ctx: Context[Progress, Trouble], film: Path, sound: list[Path], path: Path, meter: Meter) -> list[str]:
        """Write the film; give the digests of the packets that were read for it."""
        ffmpeg, preset = find_ffmpeg(), PRESETS[self.preset]
        command = [*_reading_list(ffmpeg, film, begins_seconds=self.begins_seconds)]
        for one in sound:
            _, _, _, *options = reading(ffmpeg, one)  # without the program and what is said once
            command += options
        streams, digests = ["-map", "0:v:0", *(["-map", "1:a:0"] if sound else []), "-c", "copy"], ctx.workspace / "digests"
        meter.start("joining", total=float(sum(self.lengths)), unit="seconds")
        command += [*PROGRESS, *streams, *preset.container, "-f", preset.muxer, "-y", f"file:{path}"]
        command += [*streams, *_same_form(preset), *DIGESTS, "-y", f"file:{digests}"]
        follow(ctx, command, meter, made=self.preset, bounds=self._bounds(path))
        return digests.read_text().splitlines()

    def _bounds(self, path: Path) -> Bounds:
        return Bounds(where=self.folder, output=path, stall_seconds=self.stall_max_seconds, bytes_max=self.output_max_bytes)

    def _check(self, ctx: Context[Progress, Trouble], path: Path, meter: Meter, *, read: list[str]) -> Joined:
        frames, seconds = sum(part.frames for part in self.pieces), float(sum(self.lengths))
        asked = Asked(where=self.folder, stall_seconds=self.stall_max_seconds, made=True)
        meter.start("checking", total=seconds, unit="seconds")
        listing = list_packets(ctx, path, "video", asked=asked)
        fault = fault_in(listing, frames=frames, seconds=seconds)
        if fault is None and self.sound:
            fault = fault_in_order(list_packets(ctx, path, "sound", asked=asked))
        if fault is None:
            options = ["-map", "0", "-c", "copy", *_same_form(PRESETS[self.preset])]
            written = digest_packets(ctx, path, options, asked=asked)
            fault = None if written == read else "holds other packets than the pieces"
        if fault is not None:
            stop(OutputWrong, f"the joined film {fault}", where=self.folder, would_do="try again, or use media.transcode")
        size = path.stat().st_size
        meter.start("digesting", total=size)
        return Joined(
            name="joined",
            frames=frames,
            seconds=seconds,
            width=listing.width,
            height=listing.height,
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


def _same_form(preset: Preset) -> list[str]:
    """How H.264 is told where digests are compared: with its parameters in front of keyframes.

    ffmpeg puts them there when it joins, so that pieces of different encoders may follow each other.
    """
    return ["-bsf:v", "h264_mp4toannexb"] if "libx264" in preset.video else []


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
