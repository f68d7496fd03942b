"""Lines are numbered without gaps, cut into chunks, and kept within the bound: the beginning, and the very end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.coordinator.logbuffer import TAIL_LINES, LogBuffer
from heavyjobs.logs import decode_chunk, encode_lines
from heavyjobs.model import ClaimKey, LogLine, Source, new_id
from heavyjobs.store.records import LOG_CHUNK_MAX_BYTES, LogChunk

CLAIM = ClaimKey(new_id(), 3)


def line(text: str) -> bytes:
    (encoded,) = encode_lines(1.0, Source.STDOUT, None, text)
    return encoded


def read(chunks: list[LogChunk]) -> list[LogLine]:
    return [found for chunk in chunks for found in decode_chunk(chunk.claim.number, chunk.first, chunk.data)]


@given(texts=st.lists(st.text("ab", max_size=5), max_size=60), takes=st.sets(st.integers(0, 60)))
def test_lines_come_out_as_they_went_in_whenever_they_are_taken(texts: list[str], takes: set[int]) -> None:
    buffer, chunks = LogBuffer(CLAIM, bound_bytes=0), []
    for number, text in enumerate(texts):
        buffer.add(line(text))
        if number in takes:
            chunks += buffer.take()
    chunks += buffer.take()

    lines = read(chunks)

    assert [found.text for found in lines] == texts
    assert [found.number for found in lines] == list(range(len(texts)))
    assert buffer.take() == []


def test_chunks_hold_as_much_as_they_may() -> None:
    buffer = LogBuffer(CLAIM, bound_bytes=0)
    for _ in range(100):
        buffer.add(line("x" * 5_000))

    chunks = buffer.take()

    assert all(len(chunk.data.encode()) <= LOG_CHUNK_MAX_BYTES + 1 for chunk in chunks)
    assert {chunk.lines for chunk in chunks[:-1]} == {13}
    assert sum(chunk.lines for chunk in chunks) == 100


def test_what_waits_to_be_written_is_counted_in_bytes() -> None:
    buffer = LogBuffer(CLAIM, bound_bytes=0)

    buffer.add(line("x" * 1000))

    assert 1000 < buffer.pending_bytes < 1100
    buffer.take()
    assert buffer.pending_bytes == 0


def test_a_bound_keeps_the_beginning_and_the_last_lines_and_counts_the_rest() -> None:
    buffer = LogBuffer(CLAIM, bound_bytes=10_000)
    for number in range(5_000):
        buffer.add(line(f"line {number}"))
    buffer.close()

    lines = read(buffer.take())

    said = [found.text for found in lines if found.source is Source.STDOUT]
    remarks = [found.text for found in lines if found.source is Source.HEAVYJOBS]
    kept = len(said) - TAIL_LINES
    assert said == [f"line {number}" for number in [*range(kept), *range(5_000 - TAIL_LINES, 5_000)]]
    assert kept + buffer.dropped_lines + TAIL_LINES == 5_000
    assert remarks == [
        "the log has reached its bound of 10000 bytes; what follows is counted, not kept",
        f"{buffer.dropped_lines} lines were left out here",
    ]


def test_after_the_bound_a_line_that_would_fit_does_not_jump_the_queue() -> None:
    buffer = LogBuffer(CLAIM, bound_bytes=200)
    for text in ("a" * 100, "b" * 100, "c"):
        buffer.add(line(text))
    buffer.close()

    lines = [found.text for found in read(buffer.take()) if found.source is Source.STDOUT]

    assert lines == ["a" * 100, "b" * 100, "c"]
    assert buffer.dropped_lines == 0


def test_remarks_of_our_own_are_kept_whatever_the_bound() -> None:
    buffer = LogBuffer(CLAIM, bound_bytes=1)
    buffer.add(line("too long"))

    buffer.remark("killed by signal 9", level=40)

    assert [(found.level, found.text) for found in read(buffer.take())][-1] == (40, "killed by signal 9")
