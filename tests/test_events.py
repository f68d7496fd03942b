"""Frames survive any cutting of the stream, and what is no frame is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs import events
from heavyjobs.events import FRAME_MAX_BYTES, HEADER, BrokenFrame, Code, FrameReader, frame

FRAMES = st.lists(st.tuples(st.sampled_from([*Code]), st.integers(0, 2**32 - 1), st.binary(max_size=300)), max_size=20)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@given(frames=FRAMES, cuts=st.lists(st.integers(0, 10_000), max_size=30))
def test_frames_come_out_as_they_went_in_however_the_bytes_arrive(
    frames: list[tuple[Code, int, bytes]], cuts: list[int]
) -> None:
    reader, found = FrameReader(), []
    for piece in pieces(b"".join(frame(*one) for one in frames), cuts):
        reader.feed(piece)
        while received := reader.next():
            found.append(received)

    assert found == frames


def test_half_a_frame_is_waited_for() -> None:
    reader = FrameReader()
    reader.feed(frame(Code.LOG, 1, b"whole")[:-1])

    assert reader.next() is None


def test_a_body_that_is_announced_as_too_large_is_refused_before_it_comes() -> None:
    reader = FrameReader()
    reader.feed(HEADER.pack(FRAME_MAX_BYTES + 1, Code.LOG, 1))

    with pytest.raises(BrokenFrame, match="a frame of 8388609 bytes was announced; the most is 8388608"):
        reader.next()


@given(garbage=st.binary(max_size=200))
def test_garbage_gives_frames_or_is_refused_and_nothing_else(garbage: bytes) -> None:
    reader = FrameReader()
    reader.feed(garbage)

    try:
        while received := reader.next():
            assert len(received[2]) <= len(garbage)
    except BrokenFrame:
        pass


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[1]", b'{"ending":"eaten"}', b'{"ending":"succeeded","result":1}'])
def test_a_body_that_is_not_what_its_code_says_is_refused(body: bytes) -> None:
    with pytest.raises(BrokenFrame, match="a frame that cannot be read"):
        events.read(events.ENDED, body)
