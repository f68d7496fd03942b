"""What ffmpeg lists of real films, and what is decided from lists."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from heavyjobs.jobs.joining import fault_in, fault_in_order, write_list
from heavyjobs.jobs.packets import Listed, Listing, understand_listing
from heavyjobs.jobs.survey import Plan, decide

LINES = """
#extradata 0:       42, 0xf03a0ba7
#software: Lavf63.1.102
#tb 0: 1/12800
#media_type 0: video
0,      -1024,          0,      512,     6413, 0x85f214d5
0,       -512,       2048,      512,     2231, 0x4fb2652e, F=0x0
0,          0,       1024,      512,      941, 0x7d59da3f, F=0x10, S=1,        8, 0x05ec00be
0,        512, -9223372036854775808,  512,  534, 0x26e00102, F=0x3
0,       1024,       1536,      512,      473, 0x57d3eb69, F=0x5
""".strip().splitlines()


def listed(shown: int | None, *, decoded: int | None = 0, key: bool = False, **more: Any) -> Listed:
    told: dict[str, Any] = {"length": 1, "corrupt": False, "discard": False, **more}
    return Listed(decoded=decoded, shown=shown, key=key, **told)


def listing(*packets: Listed) -> Listing:
    return Listing(Fraction(1, 25), list(packets))


def test_a_list_of_packets_is_understood_with_its_flags() -> None:
    found = understand_listing(LINES)

    assert found.tick == Fraction(1, 12800)
    assert [packet.shown for packet in found.packets] == [0, 2048, 1024, None, 1536]
    assert [packet.decoded for packet in found.packets] == [-1024, -512, 0, 512, 1024]
    assert [packet.key for packet in found.packets] == [True, False, False, True, True]
    assert [packet.corrupt for packet in found.packets] == [False, False, False, True, False]
    assert [packet.discard for packet in found.packets] == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("packets", "why"),
    [
        ([], "it has no frames that can be told apart"),
        ([listed(0, key=True), listed(None)], "the file does not say when its frames are shown"),
        ([listed(0, key=True), listed(0)], "the file shows several frames at one time"),
        ([listed(0, key=True), listed(1, corrupt=True)], "parts of it are damaged"),
        ([listed(number, key=True) for number in range(20)], "it is no longer than a piece"),
        ([listed(number, key=number == 0) for number in range(500)], "it has no keyframe to cut at"),
    ],
)
def test_a_film_stays_whole_for_a_reason(packets: list[Listed], why: str) -> None:
    assert decide(listing(*packets), piece_seconds=1) == why


def test_frames_that_are_not_shown_are_in_no_piece() -> None:
    unseen = [listed(number, key=number == -5, discard=True) for number in range(-5, 0)]

    plan = decide(listing(*unseen, *(listed(number, key=number % 25 == 0) for number in range(100))), piece_seconds=1)

    assert isinstance(plan, Plan)
    assert plan.rate == 25
    assert [(piece.start, piece.end, piece.frames) for piece in plan.pieces] == [
        (0, 25, 25),
        (25, 50, 25),
        (50, 75, 25),
        (75, 100, 25),
    ]


def joined(**changed: Listed) -> Listing:
    packets = [listed(number, decoded=number - 2) for number in range(50)]
    for number, packet in changed.items():
        packets[int(number.removeprefix("at_"))] = packet
    return listing(*packets)


def test_a_joined_film_is_held_against_frames_length_and_order() -> None:
    assert fault_in(joined(), frames=50, seconds=2.0) is None
    assert fault_in(joined(), frames=50, seconds=2.03) is None, "within a frame"
    assert "50 frames with 50 times instead of 51" in str(fault_in(joined(), frames=51, seconds=2.0))
    assert "lasts 2.000 s instead of 2.100 s" in str(fault_in(joined(), frames=50, seconds=2.1))
    assert "49 times" in str(fault_in(joined(at_7=listed(8, decoded=5)), frames=50, seconds=2.0))
    assert fault_in(joined(at_7=listed(7, decoded=4)), frames=50, seconds=2.0) == "goes back in time at packet 7: from 4 to 4"
    assert fault_in_order(joined(at_7=listed(7, decoded=None))) is not None


def test_a_list_of_pieces_has_exact_lengths_whose_rounding_does_not_add_up(tmp_path: Path) -> None:
    pieces = [tmp_path / f"new\nline {number}.mp4" for number in range(3)]
    (tmp_path / "list").mkdir()

    film = write_list(tmp_path / "list", pieces, [Fraction(100 * 1001, 30000)] * 3)

    assert film.read_text().splitlines() == [
        "ffconcat version 1.0",
        "file 0.mp4",
        "duration 3336667us",
        "file 1.mp4",
        "duration 3336666us",
        "file 2.mp4",
        "duration 3336667us",
    ]
    assert [(tmp_path / "list" / f"{number}.mp4").readlink() for number in range(3)] == pieces
