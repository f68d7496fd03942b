"""The JSON edge: whatever a job returns or reports is stored as it is, or refused with a reason."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from heavyjobs.errors import Unstorable
from heavyjobs.values import decode, encode, encode_typed, exact_serializer
from tests.fuzz.anything import VALUES, nested
from tests.fuzz.effort import effort


class Loose(BaseModel):
    """A result that may hold anything."""

    value: Any = None
    items: dict[str, Any] = {}
    number: float = 0.0


LOOSE = TypeAdapter(Loose)


@pytest.mark.fault("input: a value that JSON or a database cannot hold")
@effort(400)
@given(value=VALUES)
def test_any_value_is_stored_as_it_is_or_refused(value: object) -> None:
    try:
        text = encode(value, what="the value", max_bytes=1 << 20)
    except Unstorable:
        return

    text.encode()
    assert _same(decode(text), value)


@effort(300)
@given(value=VALUES, number=st.floats())
def test_any_value_in_a_field_of_any_type_is_stored_as_it_is_or_refused(value: object, number: float) -> None:
    result = Loose.model_construct(value=value, items={"x": value}, number=number)
    try:
        text = encode_typed(exact_serializer(Loose), result, what="the result", max_bytes=1 << 20)
    except Unstorable:
        return

    found = decode(text)
    assert _same(found["value"], value)
    assert _same(found["items"]["x"], value)
    assert _same(found["number"], number)


@pytest.mark.parametrize("depth", [100, 250, 1000, 10_000])
def test_a_value_however_deep_is_stored_or_refused(depth: int) -> None:
    try:
        text = encode(nested(depth), what="the value", max_bytes=1 << 20)
    except Unstorable:
        return
    assert orjson.loads(text)


def _same(found: object, value: object) -> bool:
    match value:
        case float():
            return isinstance(found, (int, float)) and (found == value or (math.isnan(value) and math.isnan(found)))
        case dict():
            return (
                isinstance(found, dict) and found.keys() == value.keys() and all(_same(found[key], value[key]) for key in value)
            )
        case list():
            return isinstance(found, list) and len(found) == len(value) and all(map(_same, found, value))
        case _:
            return type(found) is type(value) and found == value
