"""What reaches the terminal."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.cli.render import columns, safe, safe_lines, to_json


@pytest.mark.fault("security: words of a job that act on a terminal")
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain\ttext, größer, 日本, 👩‍🚀", "plain\ttext, größer, 日本, 👩‍🚀"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;owned\x07", "␛]0;owned␇"),
        ("\x1b]8;;http://evil\x1b\\click", "␛]8;;http://evil␛\\click"),
        ("\x1b[2J\x1b[H", "␛[2J␛[H"),
        ("\x9b2J", "\\x9b2J"),
        ("a\rb\x08\x7f", "a␍b␈␡"),
        ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
        ("a\u2028b\U000e0041", "a\\u2028b\\U000e0041"),
        ("\udce9", "\\udce9"),
    ],
)
def test_nothing_that_acts_on_a_terminal_is_shown_raw(said: str, shown: str) -> None:
    assert safe(said) == shown


@given(st.text())
def test_safe_text_is_one_line_without_controls_whatever_was_said(said: str) -> None:
    shown = safe(said)

    assert all(character == "\t" or unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"} for character in shown)
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069]", shown)
    assert safe(shown) == shown


def test_several_lines_stay_several() -> None:
    assert safe_lines("a\r\nb\x1b[2J\nc") == ["a", "b␛[2J", "c"]


def test_json_is_the_same_value_without_raw_controls() -> None:
    value = {"text": "\x1b]0;x\x07\x9b\x7f\u202e\U000e0041é日"}

    text = to_json(value)

    assert json.loads(text) == value
    assert not re.search(r"[\x1b\x07\x7f-\x9f\u202e\U000e0041]", text)
    assert "é日" in text


def test_columns_are_aligned_by_what_is_seen_and_end_without_blanks() -> None:
    lines = columns([["日本", "x", ""], ["a", "\x1b[31mlong\x1b[0m", "z"]], header=("id", "name", "n"))

    assert lines == ["id    name  n", "日本  x", "a     \x1b[31mlong\x1b[0m  z"]
