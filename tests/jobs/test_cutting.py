"""Where films are cut, against what can be said of any choice, and against all choices there are."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.jobs.cutting import APART_FRAMES, HELD_FRAMES_MAX, Packet, choose_cuts, frame_rate, places_to_cut, ranges

Film = list[Packet]


@st.composite
def films(draw: st.DrawFn) -> Film:
    """Frames at whatever times, some of them keyframes, some shown before the packet in front of them."""
    steps = draw(st.lists(st.integers(1, 50), min_size=2, max_size=120))
    time, film = draw(st.integers(-1000, 1000)), []
    for step in steps:
        film.append(Packet(time, draw(st.integers(0, 4)) == 0))
        time += step
    film[0] = Packet(film[0].time, key=True)
    for number in draw(st.sets(st.integers(1, max(1, len(film) - 1)))):
        if number + 1 < len(film):
            film[number], film[number + 1] = film[number + 1], film[number]
    return film


def times_of(film: Film) -> list[int]:
    return sorted(packet.time for packet in film)


@given(films(), st.integers(1, 9))
def test_pieces_hold_every_frame_once_and_begin_with_a_keyframe(film: Film, wanted: int) -> None:
    times, keys = times_of(film), {packet.time for packet in film if packet.key}
    end = times[-1] + 10

    pieces = ranges(film, choose_cuts(times, places_to_cut(film), end=end, pieces=wanted), end=end)

    held = [[time for time in times if piece.start <= time < piece.end] for piece in pieces]
    assert [time for piece in held for time in piece] == times
    assert [len(piece) for piece in held] == [piece.frames for piece in pieces]
    assert 1 <= len(pieces) <= wanted
    assert all(piece.start in keys and piece.seek in keys and piece.seek <= piece.start for piece in pieces)
    assert all(piece.frames >= APART_FRAMES for piece in pieces if len(pieces) > 1)


@given(films(), st.integers(1, 5))
def test_no_other_choice_of_places_has_a_shorter_longest_piece(film: Film, wanted: int) -> None:
    times, places = times_of(film), places_to_cut(film)[:12]
    end = times[-1] + 10

    def longest(cuts: tuple[int, ...]) -> int:
        bounds = [times[0], *(times[number] for number in cuts), end]
        return max(after - before for before, after in pairwise(bounds))

    chosen = choose_cuts(times, places, end=end, pieces=wanted)

    every = [cuts for count in range(wanted) for cuts in combinations(places, count)]
    assert longest(tuple(chosen)) == min(map(longest, every))


@given(films(), st.integers(0, HELD_FRAMES_MAX))
def test_decoding_times_ascend_across_every_place_however_much_an_encoder_holds_back(film: Film, held: int) -> None:
    times = times_of(film)

    for place in places_to_cut(film):
        last_before = times[place - 1 - held]
        first_after = times[place] - (times[place + held] - times[place])
        assert first_after > last_before


@given(films())
def test_a_piece_that_begins_with_an_open_group_is_decoded_from_the_keyframe_before(film: Film) -> None:
    times, keys = times_of(film), [packet.time for packet in film if packet.key]
    places = places_to_cut(film)

    for piece in ranges(film, places, end=times[-1] + 1)[1:]:
        after = film[next(number for number, packet in enumerate(film) if packet.time == piece.start) + 1 :]
        until_next = after[: next((number for number, packet in enumerate(after) if packet.key), len(after))]
        if any(packet.time < piece.start for packet in until_next):
            assert piece.seek == max(key for key in keys if key < piece.start)
        else:
            assert piece.seek == piece.start


@given(
    rate=st.sampled_from([Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)]),
    tick=st.sampled_from([Fraction(1, 1000), Fraction(1, 90000), Fraction(1, 12800), Fraction(1, 30000)]),
    first=st.integers(-5000, 10**7),
    frames=st.integers(120, 400),
)
def test_a_constant_rate_is_known_through_the_rounding_of_a_container(
    rate: Fraction, tick: Fraction, first: int, frames: int
) -> None:
    times = [first + round(number / (rate * tick)) for number in range(frames)]

    assert frame_rate(times, tick) == rate


@pytest.mark.parametrize(
    "times",
    [[0, 40, 80, 120, 200, 240], [0, 40, 80, 121, 163, 206], [0, 3, 7, 10, 13], [7], []],
    ids=["a frame is missing", "slower and slower", "the clock is too coarse", "one frame", "no frame"],
)
def test_no_rate_is_made_up(times: list[int]) -> None:
    assert frame_rate(times, Fraction(1, 1000)) is None


def test_keyframes_at_equal_distances_give_equal_pieces() -> None:
    film = [Packet(number, number % 50 == 0) for number in range(1000)]

    cuts = choose_cuts(times_of(film), places_to_cut(film), end=1000, pieces=4)

    assert cuts == [250, 500, 750]


def test_real_distances_of_keyframes_are_packed_as_evenly_as_they_allow() -> None:
    keys = {0, 250, 285, 378, 553}  # of Big Buck Bunny, 30 s at 24 frames a second
    film = [Packet(number, number in keys) for number in range(720)]

    assert choose_cuts(times_of(film), places_to_cut(film), end=720, pieces=2) == [378]
    assert choose_cuts(times_of(film), places_to_cut(film), end=720, pieces=3) in ([285, 553], [250, 378], [285, 378])
