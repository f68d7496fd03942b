"""The one edge where Python values become JSON text, so that every store holds the same and gives back the same.

What PostgreSQL or SQLite would refuse, mangle or silently change is refused here instead, with the place in the value: NUL and
lone surrogates (PostgreSQL refuses both), NaN and infinities (orjson writes null), integers past 64 bits (read back as floats).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NewType, cast

import orjson
from pydantic import TypeAdapter
from pydantic_core import SchemaSerializer

from heavyjobs.errors import Unstorable
from heavyjobs.units import show_bytes

if TYPE_CHECKING:
    from pydantic_core import CoreConfig, CoreSchema

JsonText = NewType("JsonText", str)
"""JSON that passed this edge."""

PARAMETERS_MAX_BYTES: Final = 1 << 20
RESULT_MAX_BYTES: Final = 1 << 20
STATUS_MAX_BYTES: Final = 64 << 10
CHECKPOINT_MAX_BYTES: Final = 256 << 10

NULL: Final = JsonText("null")


def encode(value: object, *, what: str, max_bytes: int) -> JsonText:
    """Turn plain data (dicts with text keys, lists, text, numbers, booleans, None) into JSON.

    Args:
        what: names the value in errors, like "the result of archive.pack".

    Raises:
        Unstorable: not plain data, or larger than `max_bytes`; says where in the value and what would do.
    """
    try:
        if fault := _fault(value, ""):
            raise Unstorable(f"{what}{fault}")
        data = orjson.dumps(value)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise Unstorable(f"{what}: {error}") from None
    if len(data) > max_bytes:
        raise Unstorable(
            f"{what} takes {show_bytes(len(data))}, more than {show_bytes(max_bytes)}; "
            "store it in a file or object and pass its path"
        )
    return JsonText(data.decode())


@cache
def exact_serializer(of: Any) -> SchemaSerializer:
    """What turns values of a type into plain data, leaving NaN and infinities in an `Any` as they are, to be refused.

    By default pydantic makes them None; a model that says something else about them itself has its way.
    """
    schema = cast("dict[str, Any]", TypeAdapter(of).core_schema)
    root = schema["schema"] if schema["type"] == "definitions" else schema
    config = {"ser_json_inf_nan": "constants", **root.get("config", {})}
    return SchemaSerializer(cast("CoreSchema", schema), cast("CoreConfig", config))


def encode_typed(serializer: SchemaSerializer, value: object, *, what: str, max_bytes: int) -> JsonText:
    """Turn a value of a pydantic type into JSON, with the aliases of its fields as names.

    Raises:
        Unstorable: the type cannot turn it into plain data; and as `encode` does.
    """
    try:
        plain = serializer.to_python(value, mode="json", by_alias=True)
    except (
        ValueError,
        RecursionError,
    ) as error:  # pydantic's own is a ValueError; a value that contains itself raises a bare one
        raise Unstorable(f"{what} is not JSON: {error}") from None
    return encode(plain, what=what, max_bytes=max_bytes)


def checked(text: JsonText) -> JsonText:
    """What another process says is JSON, if it is: one that is not would spoil the batch that it is stored with.

    Raises:
        ValueError: it is not.
    """
    orjson.loads(text)
    if "\0" in text:
        raise ValueError("a NUL character")
    return text


def decode(text: str | bytes) -> Any:
    """Read JSON that we wrote."""
    return orjson.loads(text)


def _fault(value: object, path: str) -> str | None:
    """Where and why a value cannot be stored; None when it can."""
    match value:
        case None | bool():
            return None
        case str():
            return _text_fault(value, path)
        case int() | float():
            return _number_fault(value, path)
        case dict():
            return _first(_item_faults(cast("dict[object, object]", value), path))
        case list() | tuple():
            items = enumerate(cast("Sequence[object]", value))
            return _first(_fault(item, f"{path}[{index}]") for index, item in items)
        case _:
            return f"{path}: {type(value).__name__} is not JSON; use text, numbers, lists, dicts, or a pydantic model"


def _first(faults: Iterable[str | None]) -> str | None:
    return next((fault for fault in faults if fault), None)


def _item_faults(items: dict[object, object], path: str) -> Iterator[str | None]:
    for key, item in items.items():
        if isinstance(key, str):
            yield _text_fault(key, path)
            yield _fault(item, f"{path}.{key}")
        else:
            yield f"{path}: the key {key!r} is not text"


def _number_fault(number: float, path: str) -> str | None:
    if isinstance(number, float):
        return None if math.isfinite(number) else f"{path}: {number} is not a JSON number; use null or text"
    if -(2**63) <= number < 2**64:
        return None
    return f"{path}: the integer needs {number.bit_length()} bits, more than 64; pass it as text"


def _text_fault(text: str, path: str) -> str | None:
    if "\0" in text:
        return f"{path}: text with a NUL character cannot be stored; remove it or encode it"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return f"{path}: text with a lone surrogate is not Unicode; use os.fsencode and an encoding such as base64"
    return None


def visible(text: str) -> str:
    """Make any text storable by showing what is not: NUL as ␀, lone surrogates as \\udcxx."""
    if "\0" in text:
        text = text.replace("\0", "␀")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()
