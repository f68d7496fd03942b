"""A job class says what it is: its kind, its version, how it is run; and one that cannot work is refused when it is made."""

from __future__ import annotations

import functools
import json
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import Field

from heavyjobs import Context, InvalidParameters, Job, JobDefinitionError, UnknownKind
from heavyjobs.job import AnyJob, job_type, kinds
from tests.films import Clip, Film


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
