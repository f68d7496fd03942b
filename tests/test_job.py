"""A job class says what it is: its kind, its types, its configuration; and one that cannot work is refused when it is made."""

from __future__ import annotations

import functools
import json
import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any, Generic, Never

import pytest
from pydantic import BaseModel, Field, SecretBytes, SecretStr, ValidationError, field_serializer, model_serializer
from typing_extensions import TypeVar, override

from heavyjobs import AsyncContext, Context, InvalidParameters, Job, JobConfig, JobDefinitionError, UnknownKind, Unstorable
from heavyjobs.job import AnyJob, job_type, kinds
from heavyjobs.model import Policy
from heavyjobs.units import Duration, Size


class Made(BaseModel):
    frames: int


class Making(BaseModel):
    done: int


class Torn(BaseModel):
    scene: str


class Film(Job[Made, Making, Torn], kind="test_job.film", version=3):
    """Today's parameters; version 1 counted in minutes, and version 2 called its scenes parts."""

    title: str
    seconds: int = 60
    scenes: tuple[str, ...] = ()
    config = JobConfig(queue="films", attempts=5)

    def run(self, ctx: Context[Making, Torn]) -> Made:
        return Made(frames=self.seconds * 24)

    @override
    def configure(self) -> JobConfig:
        return JobConfig(queue="films", timeout=self.seconds * 10, memory="2GiB") if self.seconds > 60 else self.config

    @classmethod
    @override
    def upgrade(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        if version < 2 and "minutes" in data:
            data["seconds"] = data.pop("minutes") * 60
        if version < 3 and "parts" in data:
            data["scenes"] = data.pop("parts")
        return data


class Clip(Job[None], kind="test_job.clip"):
    """The least that a job can be."""

    async def run(self, ctx: AsyncContext) -> None: ...


# -- kinds and versions


def test_a_class_is_known_by_its_kind_when_it_is_made() -> None:
    assert kinds()["test_job.film"] is job_type("test_job.film") is Film
    assert (Film.kind, Film.version) == ("test_job.film", 3)
    assert (Clip.kind, Clip.version) == ("test_job.clip", 1)


def test_an_unknown_kind_is_told_with_the_one_that_was_probably_meant() -> None:
    with pytest.raises(UnknownKind, match=r"test_job\.flim: no such kind; did you mean test_job\.film\?"):
        job_type("test_job.flim")
    with pytest.raises(UnknownKind, match=r"no such kind; known: .*test_job\.clip"):
        job_type("☃")


def test_a_class_without_a_kind_is_a_base_also_when_it_derives_from_one_with_a_kind() -> None:
    class Longer(Film):
        acts: int = 3

    assert Longer.kind == ""
    assert kinds()["test_job.film"] is Film


def test_a_kind_belongs_to_one_class_and_a_module_may_be_loaded_again() -> None:
    source = "from heavyjobs import Context, Job\nclass One(Job, kind='test_job.one'):\n    def run(self, ctx): ...\n"
    exec(source, vars(_module("first_home")))  # noqa: S102 - as importing does

    exec(source, vars(_module("first_home")))  # noqa: S102
    with pytest.raises(JobDefinitionError, match=r"One: kind='test_job\.one' is taken by first_home\.One"):
        exec(source, vars(_module("second_home")))  # noqa: S102


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module


@pytest.mark.parametrize("kind", ["", "a b", "a/b", "ä", "...", "k" * 101, "a\n", 5])
def test_a_kind_that_is_no_name_is_refused(kind: Any) -> None:
    with pytest.raises(JobDefinitionError, match=r"is not a name; use letters, digits"):

        class Odd(Clip, kind=kind):
            pass


@pytest.mark.parametrize("version", [0, -1, "2", 1.5, True])
def test_a_version_that_does_not_count_from_1_is_refused(version: Any) -> None:
    with pytest.raises(JobDefinitionError, match="versions are whole numbers that count from 1"):

        class Odd(Clip, kind="test_job.odd", version=version):
            pass

    assert "test_job.odd" not in kinds()


def test_a_misspelt_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="knid"):

        class Odd(Clip, knid="test_job.odd"):
            pass


# -- classes that cannot work


@pytest.mark.parametrize("name", ["config", "kind", "version", "run", "copy", "json", "parse"])
def test_a_field_that_hides_an_attribute_is_refused_with_another_name_for_it(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pydantic's remark on the same
        with pytest.raises(JobDefinitionError, match=rf'{name}_ and give it Field\(alias="{name}"\)'):
            type("Odd", (Job,), {"__annotations__": {name: str}, "__module__": __name__})


def test_an_alias_is_the_name_in_json() -> None:
    class Aliased(Job[None], kind="test_job.aliased"):
        copy_: int = Field(alias="copy")

        def run(self, ctx: Context) -> None: ...

    stored = Aliased(copy=2).parameters()

    assert json.loads(stored) == {"copy": 2}
    assert Aliased.parse(1, stored).copy_ == 2
    with pytest.raises(InvalidParameters, match="copi: no such field; did you mean copy"):
        Aliased.parse(1, '{"copi": 2}')


def _too_few(self: Any) -> None: ...
def _too_many(self: Any, ctx: Any, more: int = 0) -> None: ...
def _by_name(self: Any, *, ctx: Any) -> None: ...
def _yields(self: Any, ctx: Any) -> Iterator[int]:
    yield 1


async def _yields_later(self: Any, ctx: Any) -> Any:
    yield 1


@pytest.mark.parametrize(
    ("run", "fault"),
    [
        (None, "it has a kind but no run method"),
        (_too_few, r"run takes \(self"),
        (_too_many, r"run takes \(self.*, ctx.*, more: "),
        (_by_name, r"run takes \(self.*, \*, ctx"),
        (staticmethod(_too_few), "run takes"),
        (_yields, "run yields"),
        (_yields_later, "run yields"),
        (property(_too_few), "run is <property"),
    ],
)
def test_a_class_whose_run_cannot_be_called_is_refused_with_what_would_do(run: object, fault: str) -> None:
    with pytest.raises(JobDefinitionError, match=rf"Odd: {fault}.*; write def run\(self, ctx\) or async def"):
        _made(run)

    assert "test_job.odd" not in kinds()


def _made(run: object) -> type[AnyJob]:
    class Base(Job[None]):
        pass

    namespace = {"__module__": __name__, "__qualname__": "Odd"} | ({} if run is None else {"run": run})
    made: type[AnyJob] = types.new_class("Odd", (Base,), {"kind": "test_job.odd"}, lambda body: body.update(namespace))
    return made


def test_what_is_no_function_cannot_be_run() -> None:
    with pytest.raises(Exception, match="run"):
        _made(5)


def test_a_run_may_be_inherited_or_decorated() -> None:
    def decorated(run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def wrapper(*args: Any, **named: Any) -> Any:
            return run(*args, **named)

        return wrapper

    class Inherits(Clip, kind="test_job.inherits"):
        pass

    class Decorated(Job[None], kind="test_job.decorated"):
        @decorated
        def run(self, ctx: Context) -> None: ...

    assert (Inherits.waits(), Decorated.waits(), Film.waits()) == (True, False, False)


def test_a_base_without_run_says_so_when_it_is_run() -> None:
    class Base(Job[None]):
        pass

    with pytest.raises(JobDefinitionError, match="Base: no run method"):
        Base().run(None)  # type: ignore[arg-type]  # it is not looked at


def test_a_config_that_is_none_is_refused() -> None:
    with pytest.raises(JobDefinitionError, match=r"Odd: config is \{'attempts': 3\}; write config = JobConfig"):

        class Odd(Clip, kind="test_job.odd"):
            config = {"attempts": 3}  # type: ignore[assignment]  # noqa: RUF012 - the point


# -- the three types

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


# -- configuration


def test_the_configuration_in_plain_numbers() -> None:
    config = JobConfig(
        queue="films", attempts=7, backoff="1m", backoff_max=timedelta(hours=1), timeout=90, memory="2GiB", cpus=2, priority=-1
    )

    assert config.policy(waits=False) == Policy(
        queue="films",
        attempts=7,
        backoff_seconds=60,
        backoff_max_seconds=3600,
        timeout_seconds=90,
        memory_bytes=2 << 30,
        cpus=2,
        priority=-1,
    )
    assert JobConfig().policy(waits=False) == Policy()


def test_a_job_that_waits_takes_no_processor_unless_it_says_so() -> None:
    assert Clip().policy().cpus == 0
    assert JobConfig(cpus=0.5).policy(waits=True).cpus == 0.5


def test_a_job_is_configured_by_its_parameters() -> None:
    short, long = Film(title="M").policy(), Film(title="M", seconds=120).policy()

    assert (short.attempts, short.timeout_seconds) == (5, None)
    assert (long.attempts, long.timeout_seconds, long.memory_bytes) == (3, 1200, 2 << 30)


def test_a_configure_that_returns_nothing_is_told() -> None:
    class Forgets(Clip, kind="test_job.forgets"):
        @override
        def configure(self) -> JobConfig:
            return None  # type: ignore[return-value]  # the point

    with pytest.raises(JobDefinitionError, match="Forgets: configure returned None; return a JobConfig"):
        Forgets().policy()


@pytest.mark.parametrize(
    ("name", "value", "would_do"),
    [
        ("queue", "", "a name of 1 to 100 printable characters would do"),
        ("queue", "q" * 101, "a name of 1 to 100 printable characters would do"),
        ("queue", None, "a name of 1 to 100 printable characters would do"),
        ("attempts", 0, "a whole number from 1 to 1000 would do"),
        ("attempts", "3", "a whole number from 1 to 1000 would do"),
        ("attempts", 2.5, "a whole number from 1 to 1000 would do"),
        ("attempts", True, "a whole number from 1 to 1000 would do"),
        ("priority", 40_000, "a whole number from -32768 to 32767 would do"),
        ("priority", None, "a whole number from -32768 to 32767 would do"),
        ("cpus", -1, "a number from 0 to 4096 would do"),
        ("cpus", float("nan"), "a number from 0 to 4096 would do"),
        ("cpus", "2", "a number from 0 to 4096 would do"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_with_what_would_do(name: str, value: Any, would_do: str) -> None:
    with pytest.raises(JobDefinitionError) as raised:
        JobConfig(**{name: value})

    assert str(raised.value) == f"{name}={value!r}: {would_do}"


@pytest.mark.parametrize("name", ["backoff", "backoff_max", "timeout", "grace"])
@pytest.mark.parametrize("value", ["soon", "", -1, float("inf"), [1], True])
def test_what_is_no_duration_is_refused(name: str, value: Duration) -> None:
    with pytest.raises(JobDefinitionError, match=rf"^{name}: .* is not a duration"):
        JobConfig(**{name: value})  # type: ignore[arg-type]  # any of the four


@pytest.mark.parametrize("value", ["much", "", -1, "9" * 400, [1], True])
def test_what_is_no_size_is_refused(value: Size) -> None:
    with pytest.raises(JobDefinitionError, match=r"^memory: .* is not a size"):
        JobConfig(memory=value)


# -- parameters


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
