"""Options made from the fields of a job type."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from pydantic import BaseModel, BeforeValidator, Field

from heavyjobs.cli.fields import FieldOption, field_options, values
from heavyjobs.job import Job


class Colour(Enum):
    RED = "red"
    BLUE = 2


class Inner(BaseModel):
    number: int


class Everything(Job):
    text: str = Field(description="Some text.")
    count: int = 3
    share: float | None = None
    sure: bool = False
    names: list[str] = Field(default_factory=list)
    sizes: tuple[int, ...] = ()
    colour: Colour = Colour.RED
    level: Literal[1, 2] = 1
    folder: Path = Path("here")
    when: dt.datetime | None = None
    inner: Inner | None = None
    inners: list[Inner] = Field(default_factory=list)
    table: dict[str, int] = Field(default_factory=dict)
    span: Annotated[float, BeforeValidator(float)] = 1.0
    either: int | str = 1
    one_or_more: str | list[str] = ""
    hidden_: str = Field("", alias="json")

    def run(self, ctx: Any) -> None: ...


def parsed(*arguments: str) -> dict[str, Any]:
    """What the options of `Everything` make of a command line."""
    options = field_options(Everything, taken={"--json"})
    command = click.Command("x", params=[option.option for option in options], callback=lambda **given: given)
    given: dict[str, Any] = command.main(list(arguments), standalone_mode=False)
    return values(options, given)


def options() -> dict[str, FieldOption]:
    return {option.key: option for option in field_options(Everything, taken={"--json"})}


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--text", "a"], {"text": "a"}),
        (["--text", ""], {"text": ""}),
        (["--count", "4"], {"count": "4"}),
        (["--count", "-4"], {"count": "-4"}),
        (["--sure"], {"sure": True}),
        (["--no-sure"], {"sure": False}),
        (["--names", "a", "--names", "b,c"], {"names": ["a", "b,c"]}),
        (["--sizes", "1", "--sizes", "2"], {"sizes": ["1", "2"]}),
        (["--colour", "2"], {"colour": 2}),
        (["--level", "2"], {"level": 2}),
        (["--level", "high"], {"level": "high"}),
        (["--inner", '{"number": 1}'], {"inner": {"number": 1}}),
        (["--inners", '[{"number": 1}]'], {"inners": [{"number": 1}]}),
        (["--table", '{"a": 1}'], {"table": {"a": 1}}),
        (["--one-or-more", "a"], {"one_or_more": ["a"]}),
        (["--one-or-more", "a", "--one-or-more", "b"], {"one_or_more": ["a", "b"]}),
        (["--param-json", "x"], {"json": "x"}),
        ([], {}),
    ],
)
def test_each_kind_of_field_has_its_own_way_to_be_written(arguments: Sequence[str], value: dict[str, Any]) -> None:
    assert parsed(*arguments) == value


def test_what_the_options_make_is_what_the_job_type_accepts() -> None:
    import json

    found = parsed(
        *["--text", "a", "--count", "4", "--share", "0.5", "--sure", "--sizes", "1", "--colour", "2", "--level", "2"],
        *["--folder", "there", "--when", "2026-01-02T03:04:05Z", "--inner", '{"number": 1}', "--span", "2", "--either", "x"],
    )

    job = Everything.parse(1, json.dumps(found))

    assert (job.count, job.share, job.sizes, job.colour, job.level, job.span) == (4, 0.5, (1,), Colour.BLUE, 2, 2.0)
    assert (job.folder, job.inner, job.either) == (Path("there"), Inner(number=1), "x")


@pytest.mark.parametrize(
    ("key", "metavar"),
    [
        ("text", "TEXT"),
        ("count", "INTEGER"),
        ("share", "NUMBER"),
        ("sizes", "INTEGER"),
        ("colour", "[red|2]"),
        ("level", "[1|2]"),
        ("folder", "PATH"),
        ("when", "TIME"),
        ("inner", "JSON"),
        ("inners", "JSON"),
        ("table", "JSON"),
        ("either", "INTEGER"),
    ],
)
def test_the_help_says_what_may_be_written(key: str, metavar: str) -> None:
    assert options()[key].option.metavar == metavar


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("text", "Some text. [required]"),
        ("count", "[default: 3]"),
        ("sure", "[default: no]"),
        ("colour", "[default: red]"),
        ("folder", "[default: here]"),
        ("share", ""),
        ("names", "(repeat for more)"),
        ("one_or_more", "(repeat for more)"),
    ],
)
def test_the_help_says_what_a_field_is_and_what_it_is_when_left_out(key: str, told: str) -> None:
    assert options()[key].option.help == told


def test_text_that_is_no_json_is_refused_under_the_name_of_the_option() -> None:
    with pytest.raises(click.UsageError, match="--inner: not JSON: Expecting value"):
        parsed("--inner", "nope")
