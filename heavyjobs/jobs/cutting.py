"""Where a film can be cut into pieces that are encoded apart: decided from its packets alone, without a picture being decoded.

A piece is all frames whose time lies in its range, so whoever encodes it needs no list: it seeks, decodes, and keeps what is
inside. Leading pictures of an open group, which come after a keyframe and are shown before it, belong to the piece before; the
piece after begins to decode one keyframe earlier, for what it needs of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from pydantic import BaseModel

APART_FRAMES: Final = 8
"""Between two cuts, and from the ends: more than any encoder holds back."""
HELD_FRAMES_MAX: Final = 4
"""That an encoder may hold back to reorder them."""
STEP_TICKS_MIN: Final = 5
"""Where frames are fewer ticks apart, and not all the same, a clock is too coarse to tell their rate."""
RATES: Final = (
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)),
    *(Fraction(rate) for rate in (24, 25, 30, 50, 60, 15, 12, 10, 20, 48, 90, 100, 120, 144, 240)),
)


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame as it lies in the file; `time` is when it is shown, in ticks of the stream's clock."""

    time: int
    key: bool


class Range(BaseModel, frozen=True):
    """One piece: the frames from `start` up to `end`, in ticks.

    Attributes:
        seek: where to begin to decode: a keyframe at or before the start.
        frames: that it has.
    """

    seek: int
    start: int
    end: int
    frames: int


def frame_rate(times: Sequence[int], tick: Fraction) -> Fraction | None:
    """Frames per second, where they come at a constant rate and a clock of such ticks (in seconds) can say so; else None.

    Args:
        times: ascending.
    """
    steps = {after - before for before, after in pairwise(times)}
    if len(steps) == 1:
        return 1 / (steps.pop() * tick)
    if not steps or min(steps) < STEP_TICKS_MIN:
        return None
    lasts, count = times[-1] - times[0], len(times) - 1
    near = [rate for rate in RATES if abs(count / (rate * tick) - lasts) <= 1]
    off = {rate: _most_off(times, 1 / (rate * tick)) for rate in near}
    best = min(near, key=lambda rate: off[rate], default=None)  # over a short time, 59.94 and 60 are both near
    return best if best is not None and off[best] <= 1 else None


def _most_off(times: Sequence[int], step: Fraction) -> Fraction:
    """How far a frame is from its beat at most, in ticks, at `step` ticks a frame."""
    whole, parts = step.numerator, step.denominator  # plain integers: there may be a million frames
    return Fraction(max(abs((time - times[0]) * parts - number * whole) for number, time in enumerate(times)), parts)


def places_to_cut(packets: Sequence[Packet]) -> list[int]:
    """The numbers, in order of time, of frames that a piece may begin with.

    Args:
        packets: in the order of the file, no two of one time.
    """
    times = sorted(packet.time for packet in packets)
    found = [0]
    for number in (bisect_left(times, packet.time) for packet in packets if packet.key):
        near_an_end = not APART_FRAMES <= number <= len(times) - APART_FRAMES
        if not near_an_end and number - found[-1] >= APART_FRAMES and _smooth(times, number):
            found.append(number)
    return found[1:]


def _smooth(times: Sequence[int], number: int) -> bool:
    """Whether decoding times still ascend across a cut before that frame.

    An encoder that holds frames back decodes the first that much before it is shown, as far as the held ones are apart; that
    must come after the last one of the piece before. Always so at a constant rate.
    """
    at = times[number]
    return all(times[number + held] - at < at - times[number - 1 - held] for held in range(1, HELD_FRAMES_MAX + 1))


def choose_cuts(times: Sequence[int], places: Sequence[int], *, end: int, pieces: int) -> list[int]:
    """Choose places so that there are at most so many pieces, and the longest is as short as it can be.

    Args:
        times: of all frames, ascending. places: ascending numbers of frames. end: of the last frame, in ticks.
    """
    shortest, longest = (end - times[0]) // pieces, end - times[0]
    while shortest < longest:
        middle = (shortest + longest) // 2
        cuts = _cut_by(times, places, end=end, most=middle)
        if cuts is not None and len(cuts) < pieces:
            longest = middle
        else:
            shortest = middle + 1
    return _cut_by(times, places, end=end, most=longest) or []


def _cut_by(times: Sequence[int], places: Sequence[int], *, end: int, most: int) -> list[int] | None:
    """The fewest cuts that leave no piece longer than `most` ticks; None where places lie too far apart."""
    cuts: list[int] = []
    start = last = times[0]
    for number in [*places, None]:
        at = end if number is None else times[number]
        if at - start > most:
            if last == start:
                return None
            start = last
            cuts.append(bisect_left(times, start))
            if at - start > most:
                return None
        last = at
    return cuts


def ranges(packets: Sequence[Packet], cuts: Sequence[int], *, end: int) -> list[Range]:
    """The pieces between the cuts, in order; they hold every frame once."""
    times = sorted(packet.time for packet in packets)
    keys = sorted(packet.time for packet in packets if packet.key)
    opened = _opened(packets)
    bounds = [0, *cuts, len(times)]
    return [
        Range(
            seek=_seek(times[first], keys, opened),
            start=times[first],
            end=times[after] if after < len(times) else end,
            frames=after - first,
        )
        for first, after in pairwise(bounds)
    ]


def _seek(start: int, keys: Sequence[int], opened: set[int]) -> int:
    number = bisect_left(keys, start)
    return keys[number - 1] if start in opened and number else start


def _opened(packets: Sequence[Packet]) -> set[int]:
    """The times of keyframes that are followed by pictures which are shown before them."""
    found: set[int] = set()
    key: int | None = None
    for packet in packets:
        if packet.key:
            key = packet.time
        elif key is not None and packet.time < key:
            found.add(key)
    return found
