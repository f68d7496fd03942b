"""Any parameters, from whomever: a job of the class, or its refusal; and nothing else at the worker's door."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from heavyjobs.cli.submit import KindCommand
from heavyjobs.client.reading import Reader
from heavyjobs.client.submitting import draft_of_kind
from heavyjobs.context import Context
from heavyjobs.errors import InvalidParameters, JobMismatch, Unstorable
from heavyjobs.job import Job
from heavyjobs.model import JobRecord, JobState, Policy, new_id
from heavyjobs.values import JsonText
from tests.fuzz.anything import DOCUMENTS, TEXTS, VALUES
from tests.fuzz.effort import effort
from tests.fuzz.test_terminal import WHEN


class Part(BaseModel):
    number: float = 0.0
    rest: dict[str, Any] = {}


class Fuzzed(Job[Part, Part, Part], kind="fuzz.parameters", version=2):
    """A job with fields of every sort."""

    text: str = ""
    count: int = 0
    ratio: float | None = None
    tags: tuple[str, ...] = ()
    part: Part = Part()
    anything: Any = None
    choice: Literal["a", "b"] = "a"

    @classmethod
    def upgrade(cls, version: int, parameters: Any) -> Any:
        return {**parameters, "text": "upgraded"} if isinstance(parameters, dict) else parameters

    def run(self, ctx: Context[Part, Part]) -> Part:
        raise AssertionError("never run")


NAMES = st.sampled_from([*Fuzzed.model_fields, "x"])


@pytest.mark.fault("input: parameters that do not fit the job's class")
@effort(300)
@given(parameters=st.dictionaries(NAMES | TEXTS, VALUES, max_size=4), kind=st.sampled_from(["fuzz.parameters", "x.y"]) | TEXTS)
def test_any_parameters_make_a_job_or_are_refused(parameters: dict[str, Any], kind: str) -> None:
    try:
        draft = draft_of_kind(kind, parameters, version=None, config=None, unique=None, delay=None)
    except (InvalidParameters, Unstorable):
        return

    draft.new.parameters.encode()
    assert "\0" not in draft.new.parameters


@pytest.mark.fault("input: stored parameters that are not what a job's class wrote")
@effort(300)
@given(version=st.sampled_from([1, 2]), text=DOCUMENTS | st.dictionaries(NAMES, VALUES).map(str))
def test_any_stored_parameters_make_a_job_or_are_refused_at_the_workers_door(version: int, text: str) -> None:
    try:
        job = Fuzzed.parse(version, text)
    except InvalidParameters:
        return

    assert job.kind == "fuzz.parameters"


@pytest.mark.fault("input: a stored result that does not fit its class")
@effort(200)
@given(text=DOCUMENTS, typed=st.booleans())
def test_any_stored_result_is_read_or_told_not_to_fit(text: str, typed: bool) -> None:
    reader: Reader[Any, Any, Any] = Reader(Fuzzed if typed else None)
    for state in (JobState.SUCCEEDED, JobState.DEAD):
        try:
            reader.outcome(_stored(state, JsonText(text)))
        except JobMismatch as mismatch:
            assert "does not fit" in str(mismatch)  # noqa: PT017
    with contextlib.suppress(JobMismatch):
        reader.status(JsonText(text))


@effort(150)
@given(options=st.lists(st.tuples(NAMES, TEXTS | DOCUMENTS), max_size=4), whole=st.none() | DOCUMENTS)
def test_any_options_on_the_command_line_are_parameters_or_a_mistake_of_usage(
    options: list[tuple[str, str]], whole: str | None
) -> None:
    arguments = [f"--{name}={text}" for name, text in options if "\0" not in text]
    more = [] if whole is None else [f"--parameters={whole}"]

    ran = CliRunner().invoke(KindCommand(Fuzzed), [*arguments, *more, "--delay=nonsense"])

    assert ran.exit_code == 2, ran.output


def _stored(state: JobState, text: JsonText) -> JobRecord:
    return JobRecord(
        id=new_id(), kind=Fuzzed.kind, version=2, state=state, parameters=JsonText("{}"), policy=Policy(), epoch=1, attempt=1,
        claim=1, created_at=WHEN, result=text, error=text,
    )  # fmt: skip
