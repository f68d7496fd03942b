"""Any configuration: it is loaded, or each mistake is told with its file and key."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heavyjobs.errors import ConfigurationError
from heavyjobs.settings import Settings, load
from tests.fuzz.anything import TEXTS
from tests.fuzz.effort import effort

_KEYS: Final = [
    f"{section}.{key}"
    for section, field in Settings.model_fields.items()
    for key in getattr(field.annotation, "model_fields", {"x": None})
]
KEYS: Final = st.sampled_from(
    [*_KEYS, "queues.a.slots", "queues.'\\n'.slots", 'queues."\\u202e".memory', "locations.m.url", "x", "a.b"]
)
SCALARS: Final = st.sampled_from(
    [
        "true", "-1", "0", "1e400", "nan", "-inf", "1979-05-27T07:32:00Z", "07:32:00", '""', '"5s"', '"1GiB"', '"env:NO_SUCH"',
        '"file:/no/such"', '"file:\\u0000"', '"sqlite:///x"', '"postgresql://u:secret@h/d"', "'''\n'''",
        "0x" + "f" * 30, "9" * 5000,
        '"\\u0007"', '"9999999999999999999d"', '"1e400s"', '"-5s"', '"∞"', '"٣s"', "0.1", '"env:"', '"file:"',
        '"https://["', '"//[::1"',
    ]
)  # fmt: skip
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(inner, max_size=3).map(lambda items: "{" + ", ".join(f"k{n} = {item}" for n, item in enumerate(items)) + "}")
    ),
    max_leaves=4,
)
LINES: Final = st.builds("{} = {}".format, KEYS, VALUES) | st.builds("[{}]".format, KEYS) | TEXTS
DOCUMENTS: Final = st.one_of(
    st.lists(st.builds("{} = {}".format, KEYS, VALUES), max_size=3).map("\n".join),
    st.lists(LINES, max_size=4).map("\n".join),
    st.sampled_from([100, 2000]).map(lambda depth: "x = " + "[" * depth + "]" * depth),
    st.sampled_from([100, 2000]).map(lambda depth: ".".join("a" * depth) + " = 1"),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configuration") / "c.toml"


@pytest.mark.fault("input: a configuration that makes no sense")
@effort(400)
@given(document=DOCUMENTS)
def test_any_document_is_loaded_or_each_mistake_is_told_with_file_and_key(file: Path, document: str) -> None:
    file.write_bytes(document.encode("utf-8", "surrogatepass"))

    told = _mistakes(file, {})

    assert not told or all(line.startswith(f"{file}: ") for line in told.split("\n"))
    assert "secret" not in told.replace("the secret", "")


@effort(200)
@given(name=KEYS.map(lambda key: "HEAVYJOBS_" + key.upper().replace(".", "__")), value=VALUES | TEXTS)
def test_any_variable_is_taken_or_told_by_its_name(name: str, value: str) -> None:
    told = _mistakes(None, {name: value})

    assert not told or all(line.startswith((f"environment: {name}: ", "configuration: ")) for line in told.split("\n"))
    assert "secret" not in told.replace("the secret", "")


@effort(100)
@given(content=st.binary(max_size=40))
def test_a_file_of_any_bytes_is_loaded_or_told(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    told = _mistakes(file, {})

    assert not told or told.startswith(f"{file}: ")


def _mistakes(file: Path | None, environ: dict[str, str]) -> str:
    """What is said about a configuration; nothing when it is loaded."""
    try:
        load(file, environ)
    except ConfigurationError as error:
        return str(error)
    return ""
