"""Words for states, endings and amounts."""

from __future__ import annotations

import pytest

from heavyjobs.cli.phrases import cost, facts, status_line
from heavyjobs.model import Bill


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (
            {
                "phase": "packing",
                "done": 25125558845,
                "total": 41016949964,
                "unit": "bytes",
                "rate": 74448896.0,
                "left_seconds": 180,
            },
            "packing   61 %   23.4 GiB   71.0 MiB/s   3 min 00 s left",
        ),
        ({"done": 1200, "total": 4812, "unit": "files", "item": "a.jpg"}, "25 %   1,200 files   a.jpg"),
        ({"done": 1, "total": 2, "unit": "files"}, "50 %   1 file"),
        ({"done": 3, "total": 5}, "60 %   3 of 5"),
        ({"done": 0.5, "total": 2, "rate": 0.25}, "25 %   0.5 of 2   0.2/s"),
        ({"done": 0, "total": 0}, "done 0, total 0"),
        ({"done": 5, "total": None, "phase": "reading"}, "done 5, phase reading"),
        ({"phase": "probing", "done": 0, "total": None, "unit": "bytes", "rate": 0.0}, "probing"),
        (
            {"phase": "reading", "done": 2048, "total": 0, "unit": "bytes", "rate": 1024.0, "item": "a"},
            "reading   2.0 KiB   1.0 KiB/s   a",
        ),
        ({"phase": "reading", "done": 1, "unit": "bytes", "mood": "good"}, "phase reading, done 1, unit bytes, mood good"),
        ({"degrees": 220, "wait_seconds": 90}, "degrees 220, wait_seconds 1 min 30 s"),
        ({"phase": "\x1b[2J", "done": 1, "total": 2}, "␛[2J   50 %   1 of 2"),
        ("half", "half"),
        (0.5, "0.5"),
    ],
)
def test_a_status_is_one_line(status: object, line: str) -> None:
    assert status_line(status) == line


def test_a_bill_leaves_out_what_was_not_measured() -> None:
    assert cost(Bill(), whole=True) == ""
    assert cost(Bill(cpu_seconds=1022.0, memory_peak_bytes=412 << 20, read_bytes=1 << 30), whole=False) == (
        "CPU 17 min 02 s, peak 412 MiB"
    )
    assert cost(Bill(cpu_seconds=1.0, read_bytes=2048), whole=True) == "CPU 1.0 s, read 2.0 KiB"


def test_facts_name_amounts_by_the_unit_at_the_end_of_their_name() -> None:
    text = '{"members":4812,"content_bytes":2048,"wall_seconds":90,"ok":true,"none":null,"list":[1,"\\u001b"],"bytes":"x"}'

    assert facts(text) == [
        ("members", "4,812"),
        ("content_bytes", "2.0 KiB"),
        ("wall_seconds", "1 min 30 s"),
        ("ok", "yes"),
        ("none", "none"),
        ("list", '[1,"\\u001b"]'),
        ("bytes", "x"),
    ]
    assert facts("3") == [("", "3")]
    assert facts("null") == facts(None) == []
