"""The written form of log lines."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.logs import decode_chunk, encode_lines, join_lines
from heavyjobs.model import Source


@given(st.text(st.characters()))
def test_any_text_comes_back_line_by_line_with_what_cannot_be_stored_made_visible(text: str) -> None:
    lines = encode_lines(1.5, Source.STDERR, 30, text)

    read = list(decode_chunk(1, 0, join_lines(lines)))

    shown = text.replace("\0", "␀").encode("utf-8", "backslashreplace").decode()
    assert [line.text for line in read] == (shown.splitlines() or [""])
    assert {(line.time, line.source, line.level) for line in read} == {(1.5, Source.STDERR, 30)}


@pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="there is no /proc to read resident memory from; run these tests on Linux"
)
def test_a_flood_of_lines_is_held_in_about_the_memory_of_its_text() -> None:
    before = psutil.Process().memory_info().rss

    held = encode_lines(1.5, Source.STDOUT, None, "\n".join(map(str, range(50_000))))

    grown = psutil.Process().memory_info().rss - before
    assert grown < 10 * sum(map(len, held))  # by orjson it was a hundred times as much
