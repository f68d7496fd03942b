"""Parameters come back as they were stored, also those of older versions; what would not come back is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError, field_serializer, model_serializer
from typing_extensions import override

from heavyjobs import InvalidParameters, Unstorable
from tests.films import Clip, Film


def test_parameters_come_back_as_they_were() -> None:
    film = Film(title="M", seconds=90, scenes=("a", "ü"))

    assert Film.parse(3, film.parameters()) == film


@pytest.mark.parametrize(
    ("version", "stored", "seconds", "scenes"),
    [
        (1, {"title": "M", "minutes": 2, "parts": ["a"]}, 120, ("a",)),
        (2, {"title": "M", "seconds": 5, "parts": ["a"]}, 5, ("a",)),
        (3, {"title": "M", "seconds": 5, "scenes": ["a"]}, 5, ("a",)),
    ],
)
def test_parameters_of_an_older_version_are_upgraded(
    version: int, stored: dict[str, Any], seconds: int, scenes: tuple[str, ...]
) -> None:
    film = Film.parse(version, json.dumps(stored))

    assert (film.seconds, film.scenes) == (seconds, scenes)


def test_an_upgrade_that_makes_what_cannot_be_stored_is_told() -> None:
    class Wrong(Clip, kind="test_job.wrong", version=2):
        @classmethod
        @override
        def upgrade(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
            return {"at": object()}

    with pytest.raises(InvalidParameters, match=r"upgrade: test_job\.wrong\.upgrade\.at: object is not JSON"):
        Wrong.parse(1, "{}")


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("{}", [("title", "is missing")]),
        ('{"title": "M", "secnds": 1}', [("secnds", "no such field; did you mean seconds?")]),
        ('{"title": "M", "☃": 1}', [("☃", "no such field; fields: title, seconds, scenes")]),
        (
            '{"title": "M", "seconds": "x", "scenes": ["a", 1]}',
            [
                ("seconds", "Input should be a valid integer, unable to parse string as an integer (got 'x')"),
                ("scenes.1", "Input should be a valid string (got 1)"),
            ],
        ),
    ],
)
def test_parameters_that_do_not_fit_are_told_field_by_field(text: str, problems: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidParameters) as raised:
        Film.parse(3, text)

    assert (raised.value.kind, raised.value.problems) == ("test_job.film", tuple(problems))
    assert str(raised.value).startswith("test_job.film: ")


def test_a_long_value_is_cut_where_it_is_told() -> None:
    with pytest.raises(InvalidParameters) as raised:
        Film.parse(3, json.dumps({"title": ["x" * 1000]}))

    assert len(str(raised.value)) < 200


def test_a_job_is_validated_when_it_is_made() -> None:
    with pytest.raises(ValidationError, match="bogus"):
        Film(title="M", bogus=3)  # type: ignore[call-arg]  # the point


def test_parameters_that_would_not_be_accepted_again_are_refused_before_they_are_stored() -> None:
    class Shy(Clip, kind="test_job.shy"):
        n: int

        @field_serializer("n")
        def _in_words(self, n: int) -> str:
            return "many"

    with pytest.raises(InvalidParameters, match=r"n: .*valid integer.*got 'many'"):
        Shy(n=3).parameters()


def test_parameters_that_cannot_be_stored_are_refused_with_their_kind() -> None:
    class Any_(Clip, kind="test_job.any"):  # noqa: N801
        value: Any

    class Broken(Clip, kind="test_job.broken"):
        @model_serializer
        def _dump(self) -> dict[str, Any]:
            raise KeyError("x")

    for value, reason in [(object(), "not JSON"), ("a\0b", "NUL"), ("x" * (2 << 20), "2.0 MiB, more than 1.0 MiB")]:
        with pytest.raises(Unstorable, match=rf"test_job\.any.*{reason}"):
            Any_(value=value).parameters()
    with pytest.raises(Unstorable, match=r"test_job\.broken is not JSON: Error calling function"):
        Broken().parameters()


# -- secrets


class Login(BaseModel):
    user: str
    password: SecretStr


class Upload(Clip, kind="test_job.upload"):
    token: SecretStr | None = None
    key: SecretBytes | None = None
    logins: tuple[Login, ...] = ()
    by_host: dict[str, Login] | None = None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", SecretStr("s3cret")),
        ("key", SecretBytes(b"s3cret")),
        ("logins", [Login(user="u", password=SecretStr("s3cret"))]),
        ("by_host", {"h": Login(user="u", password=SecretStr("s3cret"))}),
    ],
)
def test_a_secret_is_refused_instead_of_being_stored_as_asterisks(field: str, value: Any) -> None:
    with pytest.raises(InvalidParameters, match=f"{field}: a secret would be stored as asterisks.*env:NAME") as raised:
        Upload(**{field: value}).parameters()

    assert "s3cret" not in str(raised.value)


def test_a_secret_that_is_not_given_is_no_hindrance() -> None:
    assert json.loads(Upload().parameters())["token"] is None


def test_a_secret_that_its_class_wants_to_store_is_stored() -> None:
    class Open(Clip, kind="test_job.open"):
        token: SecretStr

        @field_serializer("token", when_used="json")
        def _plain(self, token: SecretStr) -> str:
            return token.get_secret_value()

    assert json.loads(Open(token=SecretStr("t")).parameters()) == {"token": "t"}
