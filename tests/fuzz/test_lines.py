"""Whatever programs print, and whatever stands in the database as a log: lines that can be stored, and read again."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.coordinator.logbuffer import LogBuffer
from heavyjobs.logs import LINE_MAX_CHARS, decode_chunk, encode_lines, join_lines
from heavyjobs.model import ClaimKey, Source, new_id
from heavyjobs.slots.rawlines import RawLines
from heavyjobs.textlines import LINE_MAX_BYTES, LineCutter
from tests.fuzz.anything import CUTS, DOCUMENTS, TEXTS, pieces
from tests.fuzz.effort import effort

ODD_BYTES = [
    b"\xff\xfe\r\n", b"\r\r\n\n", b"\0" * 10, b"\xf0\x9f\x98", "😀".encode() * 5000, b"x" * 70_000, b"\x1b]0;t\x07\n",
    b"\x85\x0b\x0c",
    "\u2028\u2029".encode(), b"\xed\xa0\x80", b"\xc0\x80", b"\xf8\x88\x80\x80\x80",
]  # fmt: skip
STREAMS = st.lists(st.sampled_from(ODD_BYTES) | st.binary(max_size=60), max_size=8).map(b"".join)


@pytest.mark.fault("input: a program prints bytes that are no text")
@effort(150)
@given(stream=STREAMS, cuts=CUTS)
def test_any_output_becomes_lines_that_can_be_stored_and_read_however_it_arrives(stream: bytes, cuts: list[int]) -> None:
    raw = RawLines(Source.STDOUT)
    encoded = [line for piece in pieces(stream, cuts) for line in raw.feed(piece)] + raw.flush()

    data = join_lines(encoded)

    data.encode()
    assert "\0" not in data
    assert "\\u0000" not in data
    lines = [*decode_chunk(1, 0, data)]
    assert [line.number for line in lines] == [*range(len(encoded))]
    assert all(len(line.text) <= LINE_MAX_CHARS and "\n" not in line.text for line in lines)


@effort(150)
@given(stream=STREAMS, cuts=CUTS)
def test_any_output_of_a_program_is_cut_into_the_same_lines_however_it_arrives(stream: bytes, cuts: list[int]) -> None:
    cutter, whole = LineCutter(), LineCutter()

    lines = [line for piece in pieces(stream, cuts) for line in cutter.feed(piece)] + cutter.end()

    assert "".join(lines) == "".join(whole.feed(stream) + whole.end())
    assert all("\n" not in line and "\r" not in line and len(line) <= 4 * LINE_MAX_BYTES for line in lines)


@effort(200)
@given(text=TEXTS, level=st.none() | st.integers(0, 100))
def test_any_text_that_is_logged_is_a_line_that_can_be_stored(text: str, level: int | None) -> None:
    data = join_lines(encode_lines(1.5, Source.LOGGING, level, text))

    data.encode()
    assert "\0" not in data
    assert [*decode_chunk(1, 0, data)]


@pytest.mark.fault("input: a job writes nonsense into its own log")
@effort(300)
@given(bodies=st.lists(st.one_of(st.binary(max_size=60), DOCUMENTS.map(str.encode)), min_size=1, max_size=4))
def test_nonsense_in_the_place_of_a_log_line_spoils_no_reading(bodies: list[bytes]) -> None:
    buffer = LogBuffer(ClaimKey(new_id(), 1), bound_bytes=0)
    for body in bodies:
        buffer.add(body)
    [*chunks] = buffer.take()

    for chunk in chunks:
        chunk.data.encode()
        assert "\0" not in chunk.data
        for line in decode_chunk(1, chunk.first, chunk.data):
            assert isinstance(line.text, str)
            assert isinstance(line.time, int | float)


@effort(300)
@given(
    document=DOCUMENTS
    | st.lists(st.lists(st.sampled_from([1.5, 7, "stdout", "x", None, [], {}, 1e300, -1e300]), max_size=6)).map(
        lambda lines: orjson.dumps(lines).decode()
    )
)
def test_nonsense_in_the_database_in_the_place_of_a_log_spoils_no_reading(document: str) -> None:
    for line in decode_chunk(1, 5, document):
        assert isinstance(line.text, str)
        assert isinstance(line.level, int | None)
