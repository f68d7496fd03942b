"""`media.survey`: where a film can be cut, found by reading it once without decoding a picture."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Final

from loguru import logger
from pydantic import BaseModel, Field

from heavyjobs.context import Context
from heavyjobs.jobs.cutting import Packet, Range, choose_cuts, frame_rate, places_to_cut, ranges
from heavyjobs.jobs.examine import examine
from heavyjobs.jobs.facts import Facts, tolerance
from heavyjobs.jobs.film_jobs import FilmChild, check_streams
from heavyjobs.jobs.packets import Asked, Listed, Listing, Sort, list_packets
from heavyjobs.jobs.places import source_file
from heavyjobs.jobs.presets import PRESETS
from heavyjobs.jobs.progress import Meter, Progress
from heavyjobs.jobs.trouble import SourceChanged, Trouble, Unreadable, shown, stop, typed
from heavyjobs.locations import Place
from heavyjobs.units import show_seconds

PIECES_MAX: Final = 500
"""Of one film; a longer one has longer pieces."""
FRAMES_MAX: Final = 5_000_000
"""That are looked at one by one: a day at 60 frames a second."""


class Identity(BaseModel, frozen=True):
    """What a source is taken for the same by, on every host."""

    bytes: int
    mtime_ns: int


class Surveyed(BaseModel):
    """How a film can be cut.

    Attributes:
        tick: of the video's clock, in seconds, as a fraction. rate: frames per second, where constant.
        begins_seconds: from the start of the file to the first frame; its sound may begin earlier.
        seconds: from the first frame to the end of the last.
        pieces: in order, two at least; none where it is to be transcoded whole, and then `whole_because` says why.
        sound: whether it has any.
    """

    identity: Identity
    tick: Fraction
    rate: Fraction | None
    begins_seconds: float
    seconds: float
    pieces: list[Range]
    whole_because: str | None
    sound: bool


class Survey(FilmChild[Surveyed], kind="media.survey"):
    """Find out where a film can be cut into pieces that are transcoded apart: `media.chunked_transcode` asks.

    | what can be wrong | error | tried again |
    | --- | --- | --- |
    | the source is missing, a folder, or may not be read | `SourceMissing` | no |
    | it changes while it is read | `SourceChanged` | yes |
    | no media file, a playlist, no stream that the preset wants, one that ends before its time | `Unreadable` | no |
    | a place that is not open to jobs, more streams, pixels or seconds than any film has | `Refused` | no |
    | no ffmpeg here, or nothing that reads media files | `NotInstalled` | yes |
    | ffmpeg does nothing for `stall_max_seconds` | `Stalled` | yes |
    | ffmpeg crashes | `ProgramFailed` | yes |
    """

    source: Place
    piece_seconds: Annotated[float, Field(gt=0, le=86400)] = 60

    def run(self, ctx: Context[Progress, Trouble]) -> Surveyed:
        with typed(ctx, target=self.source):
            path = source_file(ctx.locations, self.source, instead="name a file in it")
            before = identify(path)
            surveyed = self._survey(ctx, path, before)
            same_or_stop(path, before, where=self.source)
            found = surveyed.whole_because or f"{len(surveyed.pieces)} pieces"
            logger.info("{}: {}, {}", shown(self.source), show_seconds(surveyed.seconds), found)
            return surveyed

    def _survey(self, ctx: Context[Progress, Trouble], path: Path, identity: Identity) -> Surveyed:
        meter = Meter(ctx.report)
        meter.start("surveying", total=None)
        found = examine(ctx, path, where=self.source)
        check_streams(found, PRESETS[self.preset], where=self.source)
        whole = Surveyed(
            identity=identity,
            tick=Fraction(0),
            rate=None,
            begins_seconds=0,
            seconds=found.duration_seconds or 0,
            pieces=[],
            whole_because=None,
            sound=bool(found.audio),
        )
        if not PRESETS[self.preset].video:
            return whole.model_copy(update={"whole_because": "sound is transcoded whole"})
        listing = self._list(ctx, path, "video")
        plan = decide(listing, piece_seconds=self.piece_seconds)
        if isinstance(plan, str):
            return whole.model_copy(update={"whole_because": plan})
        begins = float(plan.pieces[0].start * listing.tick) - found.begins_seconds
        seconds = float((plan.pieces[-1].end - plan.pieces[0].start) * listing.tick)
        self._check_length(ctx, path, found, begins + seconds)
        update = {"tick": listing.tick, "rate": plan.rate, "pieces": plan.pieces, "begins_seconds": begins}
        return whole.model_copy(update={**update, "seconds": seconds})

    def _list(self, ctx: Context[Progress, Trouble], path: Path, sort: Sort) -> Listing:
        asked = Asked(where=self.source, stall_seconds=self.stall_max_seconds)
        return list_packets(ctx, path, sort, asked=asked, most=FRAMES_MAX)

    def _check_length(self, ctx: Context[Progress, Trouble], path: Path, found: Facts, ends: float) -> None:
        """Refuse a film that ends before the time that it says itself; its sound may outlast its picture.

        Raises:
            Stopped: Unreadable.
        """
        expected = found.exact_seconds
        if expected is None or ends >= expected - tolerance(expected):
            return
        if found.audio:
            sound = self._list(ctx, path, "sound")
            if len(sound.packets) > FRAMES_MAX:
                return
            times = [packet.shown + packet.length for packet in sound.packets if packet.shown is not None]
            ends = max(ends, float(max(times, default=0) * sound.tick) - found.begins_seconds)
        if ends < expected - tolerance(expected):
            what = f"only {ends:.2f} of {expected:.2f} s are there"
            stop(Unreadable, what, where=self.source, would_do="check that it is whole")


@dataclass(frozen=True, slots=True)
class Plan:
    """The pieces, and the constant rate of the film, if it has one."""

    pieces: list[Range]
    rate: Fraction | None


def decide(listing: Listing, *, piece_seconds: float) -> Plan | str:
    """Cut a film into pieces of near that length, or say why it stays whole."""
    taken = [packet for packet in listing.packets if not packet.discard]
    if fault := _fault(listing, taken):
        return fault
    packets = [Packet(packet.shown, packet.key) for packet in taken if packet.shown is not None]
    times = sorted(packet.time for packet in packets)
    rate = frame_rate(times, listing.tick)
    end = times[-1] + _last_length(taken, times, rate, listing.tick)
    wanted = min(round(float((end - times[0]) * listing.tick) / piece_seconds), PIECES_MAX, len(times))
    if wanted < 2:
        return "it is no longer than a piece"
    places = places_to_cut(packets)
    cuts = choose_cuts(times, places, end=end, pieces=wanted)
    if not cuts:
        return "it has no keyframe to cut at"
    return Plan(ranges(packets, cuts, end=end), rate)


def _fault(listing: Listing, taken: list[Listed]) -> str | None:
    if len(listing.packets) > FRAMES_MAX:
        return f"it has more than {FRAMES_MAX:,} frames"
    shown = [packet.shown for packet in taken]
    if not taken or listing.tick <= 0:
        return "it has no frames that can be told apart"
    if None in shown:
        return "the file does not say when its frames are shown"
    if len(set(shown)) < len(shown):
        return "the file shows several frames at one time"
    if any(packet.corrupt for packet in taken):
        return "parts of it are damaged"
    return None


def _last_length(taken: list[Listed], times: list[int], rate: Fraction | None, tick: Fraction) -> int:
    """For how long the last frame is shown, in ticks."""
    if rate is not None:
        return round(1 / (rate * tick))
    said = next((packet.length for packet in reversed(taken) if packet.shown == times[-1]), 0)
    return max(said, 1)


def identify(path: Path) -> Identity:
    status = path.stat()
    return Identity(bytes=status.st_size, mtime_ns=status.st_mtime_ns)


def same_or_stop(path: Path, before: Identity, *, where: str) -> None:
    """Hold a source against what it was.

    Raises:
        Stopped: SourceChanged.
    """
    if identify(path) != before:
        stop(SourceChanged, "changed while it was read", where=where, would_do="try again when nobody writes to it")
