"""What user code did becomes one plain ending."""

from __future__ import annotations

from typing import Any

import pytest

from heavyjobs.errors import (
    InvalidParameters,
    JobDefinitionError,
    KeyReused,
    PathRefused,
    ProgramFailed,
    TargetExists,
    Unstorable,
    UsageError,
    WorkError,
)
from heavyjobs.slots import endings
from tests.slots.deeds.kinds import Counted, Deed


@pytest.mark.parametrize(
    "error",
    [
        UsageError("no"),
        JobDefinitionError("no"),
        InvalidParameters("tests.deed", [("name", "is missing")]),
        KeyReused("no"),
        TargetExists("no"),
        PathRefused("no"),
    ],
)
def test_what_would_come_again_at_every_try_is_not_tried_again(error: Exception) -> None:
    assert not endings.raised(error, None).retry


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), WorkError("ls: no such program"), ProgramFailed(["ls"], code=1, signal=None, tail=[]), MemoryError()],
)
def test_what_may_heal_is_tried_again(error: Exception) -> None:
    assert endings.raised(error, None).retry


@pytest.mark.parametrize("result", [object(), b"\xff", {"self": object()}, pytest.param([[]], id="endless")])
def test_a_result_that_cannot_be_json_is_told_with_its_kind(result: Any) -> None:
    if result == [[]]:
        result[0] = result

    with pytest.raises(Unstorable, match=r"^the result of tests\.deed is not JSON: "):
        endings.returned(Deed(name="any", arguments={}), result, None)


def test_a_result_that_its_class_does_not_say_is_told_with_its_kind() -> None:
    with pytest.raises(Unstorable, match=r"^the result of tests\.counted is not what its class says: value: .*'three'"):
        endings.returned(Counted(name="any", arguments={}), "three", None)


def test_a_number_that_json_has_not_is_refused_in_a_result_of_any_type() -> None:
    with pytest.raises(Unstorable, match="nan is not a JSON number"):
        endings.returned(Deed(name="any", arguments={}), {"share": float("nan")}, None)
