"""Tables of docstrings on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.cli.tables import is_table, table_lines

TABLE = "| what can be wrong | error |\n| --- | :-: |\n| the source is missing, or may not be read | `Missing` |\n| x | |"


def test_a_table_that_fits_is_only_aligned() -> None:
    assert table_lines(TABLE, width=80) == [
        "what can be wrong                          error",
        "-----------------------------------------  ---------",
        "the source is missing, or may not be read  `Missing`",
        "x",
    ]


def test_long_cells_are_wrapped_in_their_column() -> None:
    assert table_lines(TABLE, width=35) == [
        "what can be wrong         error",
        "------------------------  ---------",
        "the source is missing,    `Missing`",
        "or may not be read",
        "x",
    ]


words = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=8)
cells = st.lists(words, min_size=0, max_size=12).map(" ".join)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6), st.integers(min_value=40, max_value=120))
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(rows: list[tuple[str, str, str]], width: int) -> None:
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)

    lines = table_lines(text, width=width)

    assert all(len(line) <= width for line in lines)
    assert sorted(" ".join(lines).replace("-", "").split()) == sorted(" ".join(" ".join(row) for row in rows).split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [(TABLE, True), ("a | b", False), ("| a |\nb", False), ("- a\n- b", False), ("| --- |", False), ("", False)],
)
def test_only_lines_between_bars_are_a_table(text: str, expected: bool) -> None:
    assert is_table(text) is expected
