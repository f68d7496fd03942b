"""The coordinator's own log waits for nobody, and says how much of it was dropped for that."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest

from heavyjobs.coordinator.journal import _LINES_MAX, _Unhurried

LINE = "x" * 99 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, _Unhurried]]:
    """The end to read of a pipe, and a log that is written to it."""
    read, write = os.pipe()
    stream = os.fdopen(write, "w")
    yield read, _Unhurried(stream)
    os.close(read)  # first, for a thread that still writes holds the stream
    with suppress(BrokenPipeError):
        stream.close()


def test_lines_are_written_whole_and_in_order_until_the_very_last(pipe: tuple[int, _Unhurried]) -> None:
    read, log = pipe

    for number in range(100):
        log.write(f"line {number}\n")
    log.stop()

    assert os.read(read, 1 << 16).decode() == "".join(f"line {number}\n" for number in range(100))


def test_a_log_that_nobody_reads_drops_lines_and_says_how_many_once_it_is_read_again(pipe: tuple[int, _Unhurried]) -> None:
    read, log = pipe
    lines = _LINES_MAX + 5_000

    for _ in range(lines):
        log.write(LINE)

    said, text, dropped = b"", "", 0
    while text.count(LINE) + dropped < lines:
        said += os.read(read, 1 << 16)
        text = said.decode(errors="replace")  # it may end within a character
        dropped = sum(int(number) for number in re.findall(r"… (\d+) lines of this log were dropped", text))
    assert dropped > 0
    assert text.count(LINE) + dropped == lines
