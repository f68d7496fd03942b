"""Whatever a worker's code writes to its pipe: frames of ours come through, all else is refused in one way."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from heavyjobs import events
from heavyjobs.events import BrokenFrame, Code, FrameReader, frame
from heavyjobs.model import Bill, Cause, Ending, new_id
from heavyjobs.slots.hearing import _status
from heavyjobs.store.causes import cause_of, cause_text
from heavyjobs.values import JsonText
from tests.fuzz.anything import CUTS, DOCUMENTS, TEXTS, pieces
from tests.fuzz.effort import effort

MOST: Final = 4096
ENDED: Final = events.Ended(ending=Ending.RAISED, message="no", bill=Bill(wall_seconds=1.5), result=JsonText("[1]"))
ASKED: Final = events.Asked(number=1, request=events.Await(jobs=(new_id(),), first_death=True))
GOOD: Final[list[tuple[TypeAdapter[Any], bytes]]] = [
    (events.ENDED, events.ENDED.dump_json(ENDED)),
    (events.ASKED, events.ASKED.dump_json(ASKED)),
    (events.ANSWER, events.ANSWER.dump_json(events.Answer(number=3))),
    (events.CHILD_IDS, events.CHILD_IDS.dump_json([new_id()])),
]


@pytest.mark.fault("input: bytes on a worker's pipe that are no frames")
@effort(300)
@given(stream=st.binary(max_size=200), cuts=CUTS, good=st.lists(st.binary(max_size=50), max_size=5))
def test_any_bytes_after_good_frames_are_frames_too_or_refused_and_held_within_bounds(
    stream: bytes, cuts: list[int], good: list[bytes]
) -> None:
    reader, found = FrameReader(most=MOST), list[bytes]()
    try:
        for piece in pieces(b"".join(frame(Code.LOG, 7, body) for body in good) + stream, cuts):
            reader.feed(piece)
            while received := reader.next():
                found.append(received[2])
            assert len(reader._buffer) <= MOST + events.HEADER.size + len(piece)
    except BrokenFrame:
        pass

    assert found[: len(good)] == good


@pytest.mark.fault("input: a frame of a worker that holds nonsense")
@pytest.mark.parametrize("adapter", [adapter for adapter, _ in GOOD], ids=["ended", "asked", "answer", "ids"])
@effort(100)
@given(body=st.one_of(st.binary(max_size=100), DOCUMENTS.map(str.encode), st.builds(bytes)))
def test_a_body_that_is_not_what_its_code_says_is_refused(adapter: TypeAdapter[Any], body: bytes) -> None:
    _read_or_refuse(adapter, body)


@effort(300)
@given(which=st.sampled_from(GOOD), place=st.integers(0, 500), instead=st.binary(max_size=4), length=st.integers(0, 8))
def test_a_good_body_with_a_wrong_byte_is_read_or_refused(
    which: tuple[TypeAdapter[Any], bytes], place: int, instead: bytes, length: int
) -> None:
    adapter, body = which
    place %= len(body)

    _read_or_refuse(adapter, body[:place] + instead + body[place + length :])


def _read_or_refuse(adapter: TypeAdapter[Any], body: bytes) -> None:
    with contextlib.suppress(BrokenFrame):
        events.read(adapter, body)


@pytest.mark.fault("input: a status that is no status")
@effort(200)
@given(body=st.one_of(st.binary(max_size=100), DOCUMENTS.map(str.encode)))
def test_a_status_that_could_not_be_stored_is_refused(body: bytes) -> None:
    try:
        text = _status(body)
    except BrokenFrame:
        return
    assert "\0" not in text.encode().decode()


@effort(100)
@given(message=TEXTS, kind=TEXTS)
def test_whatever_an_exception_says_can_be_kept_as_a_cause(message: str, kind: str) -> None:
    text = cause_text(Cause(Ending.RAISED, message, type=kind, traceback=message))

    assert text is not None
    text.encode()
    assert "\0" not in text
    assert "\\u0000" not in text
    assert cause_of(text) is not None
