"""Raw output becomes lines, whatever the bytes and however they arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.logs import decode_chunk, join_lines
from heavyjobs.model import LogLine, Source
from heavyjobs.slots.rawlines import RawLines


def read(encoded: list[bytes]) -> list[LogLine]:
    return list(decode_chunk(1, 0, join_lines(encoded)))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def heard(pieces: list[bytes]) -> list[LogLine]:
    raw = RawLines(Source.STDERR)
    return read([line for piece in pieces for line in raw.feed(piece)] + raw.flush())


@given(lines=st.lists(st.text("aé€😀 ", min_size=1, max_size=30), max_size=20), size=st.integers(1, 40))
def test_lines_of_text_come_out_as_they_were_written_however_they_arrive(lines: list[str], size: int) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()

    assert [line.text for line in heard(cut(data, size))] == lines


@given(data=st.binary(max_size=500), size=st.integers(1, 50))
def test_any_bytes_give_lines_that_can_be_stored(data: bytes, size: int) -> None:
    assert all(line.source is Source.STDERR and "\0" not in line.text for line in heard(cut(data, size)))


def test_a_carriage_return_ends_a_line() -> None:
    assert [line.text for line in heard([b"10 %\r20 %\r", b"30 %\r\n", b"done\n"])] == ["10 %", "20 %", "30 %", "done"]


def test_what_is_not_utf_8_is_shown() -> None:
    assert [line.text for line in heard([b"caf\xe9 \x00\n"])] == ["caf\\xe9 ␀"]


def test_a_line_without_end_is_given_in_pieces_that_say_they_go_on_and_no_character_is_cut_in_two() -> None:
    text = "é" * 40_000

    lines = heard(cut(text.encode(), 4_095))

    assert "".join(line.text for line in lines) == text
    assert [line.continued for line in lines] == [True] * (len(lines) - 1) + [False]
    assert len(lines) > 2


def test_what_is_left_without_an_end_is_a_line_when_asked_for() -> None:
    raw = RawLines(Source.STDOUT)

    assert raw.feed(b"unfinished") == []
    assert [line.text for line in read(raw.flush())] == ["unfinished"]
    assert raw.flush() == []
