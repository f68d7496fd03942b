"""Whatever jobs said and named: nothing that acts on a terminal leaves the renderer, and no text makes it fail."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.cli.documents import job_document
from heavyjobs.cli.phrases import status_line
from heavyjobs.cli.printing import print_ending
from heavyjobs.cli.render import columns, safe, to_json
from heavyjobs.cli.screen import PlainScreen
from heavyjobs.cli.show import _Found, _page
from heavyjobs.cli.story import AsJson, ForPeople, Raw
from heavyjobs.cli.tables import is_table, table_lines
from heavyjobs.model import (
    Bill,
    Cause,
    ClaimKey,
    Ending,
    InvocationRecord,
    JobRecord,
    JobState,
    LogLine,
    Policy,
    Source,
    new_id,
)
from heavyjobs.values import JsonText
from tests.fuzz.anything import TEXTS
from tests.fuzz.effort import effort

ACTS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
)
"""What must not reach a terminal; without colour nothing of our own is among it."""

STORED: Final = TEXTS.map(lambda text: text.encode("utf-8", "backslashreplace").decode().replace("\0", "␀"))
"""Text as a store gives it back."""

NUMBERS: Final = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
NAMES: Final = (
    st.sampled_from(["done", "total", "rate", "left_seconds", "phase", "unit", "item", "bytes", "n_seconds"]) | STORED
)
SAID: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | NUMBERS | STORED,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=8,
)
WHEN: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CAUSES: Final = st.builds(Cause, st.sampled_from(Ending), STORED, STORED | st.none(), STORED | st.none())
LINES: Final = st.builds(
    LogLine, st.just(1), st.just(0), st.floats(0, 253_402_000_000), st.sampled_from(Source), st.none() | st.integers(0,
    99), STORED,
    st.booleans(),
)  # fmt: skip


@st.composite
def jobs(draw: st.DrawFn) -> JobRecord:
    """A job that ended, with anything in the place of what its authors and submitters may choose."""
    json = SAID.map(lambda value: JsonText(orjson.dumps(value).decode()))
    return JobRecord(
        id=new_id(), kind=draw(STORED), version=1, state=draw(st.sampled_from([JobState.SUCCEEDED, JobState.DEAD])),
        parameters=draw(json), policy=Policy(queue=draw(STORED)), epoch=1, attempt=1, claim=1, created_at=WHEN,
        finished_at=WHEN,
        unique_key=draw(STORED), parent=new_id(), child_key=draw(STORED), result=draw(json), error=draw(json | st.none()),
        cause=draw(CAUSES),
    )  # fmt: skip


@st.composite
def invocations(draw: st.DrawFn) -> InvocationRecord:
    cause = draw(CAUSES)
    return InvocationRecord(
        claim=ClaimKey(new_id(), 1), epoch=1, attempt=1, session=new_id(), host=draw(STORED), slot=draw(STORED), opened_at=WHEN,
        started_at=WHEN, ended_at=WHEN, ending=cause.ending, status=JsonText(orjson.dumps(draw(SAID)).decode()), cause=cause,
        bill=Bill(), log_lines=0, log_bytes=0, log_dropped_lines=0,
    )  # fmt: skip


def harmless(text: str) -> bool:
    return ACTS.search(text) is None


@effort(500)
@given(text=TEXTS)
def test_any_text_becomes_one_harmless_line(text: str) -> None:
    shown = safe(text)

    assert harmless(shown)
    assert "\n" not in shown


@pytest.mark.fault("input: a log that would act on a terminal")
@effort(150)
@given(lines=st.lists(LINES, max_size=4), status=SAID, invocation=invocations(), job=jobs())
def test_a_story_is_told_harmlessly(lines: list[LogLine], status: Any, invocation: InvocationRecord, job: JobRecord) -> None:
    for teller in (ForPeople, Raw, AsJson):
        told = io.StringIO()
        with redirect_stdout(told):
            teller_ = teller(PlainScreen(flush=True, statuses=True))
            teller_.begins(invocation)
            for line in lines:
                teller_.line(line)
            teller_.status(status)
            teller_.ends(invocation, replace(job, state=JobState.READY))

        assert harmless(told.getvalue())


@effort(300)
@given(status=SAID)
def test_any_status_is_one_harmless_line(status: Any) -> None:
    shown = status_line(status)

    assert harmless(shown)
    assert "\n" not in shown


@pytest.mark.fault("input: names and results that would act on a terminal")
@effort(150)
@given(job=jobs(), invocation=invocations())
def test_a_job_is_shown_harmlessly(job: JobRecord, invocation: InvocationRecord) -> None:
    told = io.StringIO()
    with redirect_stdout(told):
        for json_ in (True, False):
            print_ending(job, json_=json_)

    pages = "\n".join([*_page(_Found(job, [invocation], [job], ["no coordinator"])), to_json(job_document(job, [invocation]))])

    assert harmless(told.getvalue())
    assert harmless(pages)


@effort(200)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_columns_of_any_text_line_up(rows: list[tuple[str, str]]) -> None:
    lines = columns([(safe(one), safe(other)) for one, other in rows])

    assert all(map(harmless, lines))


@effort(300)
@given(text=st.lists(st.sampled_from(["|", "-", ":", " ", "a", "\n", "| --- |", "\t", "é", "|\n|"]), max_size=30).map("".join))
def test_any_table_in_a_docstring_is_made_to_fit_or_left_alone(text: str) -> None:
    if text.strip() and is_table(text):
        for width in (1, 8, 80):
            assert table_lines(text, width=width)
