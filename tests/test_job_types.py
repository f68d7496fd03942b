"""The types of a job's result, status and error are known from its class, however many bases lie between."""

from __future__ import annotations

import typing
from typing import Annotated, Any, Generic, Never

import pytest
from pydantic import BaseModel
from typing_extensions import TypeVar

from heavyjobs import Context, Job
from heavyjobs.job import AnyJob
from tests.films import Clip, Film, Made, Making, Torn

T = TypeVar("T", default=int)
U = TypeVar("U", default=Never)


class Counted(Job[list[T], U], Generic[T, U]):
    """A base whose result is a list of what its classes say."""


class Twice(Counted[dict[str, T], Making], Generic[T]):
    """A base of a base."""


Old = typing.TypeVar("Old")  # which knows no defaults
Renamed = typing.TypeVar("Renamed")


class Page(BaseModel, Generic[Old]):
    items: list[Old]


class Paged(Job[Page[Old] | None, Page[int]], Generic[Old]):
    """A base whose result is a generic model."""


class OfPages(Paged[str], kind="test_job.of_pages"):
    def run(self, ctx: Context[Page[int]]) -> Page[str] | None:
        return None


class OfAnyPages(Paged, kind="test_job.of_any_pages"):  # type: ignore[type-arg]  # the point
    def run(self, ctx: Context[Page[int]]) -> Page[Any] | None:
        return None


class Shelved(Job[Annotated[dict[str, tuple[Page[Renamed], ...]], "by shelf"]], Generic[Renamed]):
    """A base whose result has a variable deep inside."""


class OfShelves(Shelved[bool], kind="test_job.of_shelves"):
    def run(self, ctx: Context) -> Annotated[dict[str, tuple[Page[bool], ...]], "by shelf"]:
        return {}


class OfDefaults(Counted, kind="test_job.of_defaults"):
    def run(self, ctx: Context) -> list[int]:
        return []


class OfText(Counted[str], kind="test_job.of_text"):
    def run(self, ctx: Context) -> list[str]:
        return []


class OfTwice(Twice[bool], kind="test_job.of_twice"):
    def run(self, ctx: Context[Making]) -> list[dict[str, bool]]:
        return []


class Bare(Job, kind="test_job.bare"):
    def run(self, ctx: Context) -> None: ...


class WithStatus(Job[int, Making], kind="test_job.with_status"):
    def run(self, ctx: Context[Making]) -> int:
        return 1


@pytest.mark.parametrize(
    ("job", "result", "status", "error"),
    [
        (Film, Made, Making, Torn),
        (Clip, type(None), None, None),
        (Bare, type(None), None, None),
        (WithStatus, int, Making, None),
        (OfDefaults, list[int], None, None),
        (OfText, list[str], None, None),
        (OfTwice, list[dict[str, bool]], Making, None),
        (OfPages, Page[str] | None, Page[int], None),
        (OfAnyPages, Page[Any] | None, Page[int], None),
        (OfShelves, Annotated[dict[str, tuple[Page[bool], ...]], "by shelf"], None, None),
    ],
)
def test_result_status_and_error_are_known_however_many_bases_lie_between(
    job: type[AnyJob], result: Any, status: Any, error: Any
) -> None:
    found_status, found_error = job.status_adapter(), job.error_adapter()

    assert job.result_adapter()._type == result
    assert (found_status and found_status._type) == status
    assert (found_error and found_error._type) == error
