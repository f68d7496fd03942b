"""What a job type is: parameters as pydantic fields, three more types, a configuration, and `run`.

    class Pack(Job[Packed, Packing, Unreadable], kind="archive.pack", version=2):
        source: str
        config = JobConfig(queue="archives", timeout="2h")

        def run(self, ctx: Context[Packing, Unreadable]) -> Packed: ...

Defining the class registers it under its kind.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final, Generic, Never, Self, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypeVar, override

from heavyjobs.context import EitherContext
from heavyjobs.errors import InvalidParameters, JobDefinitionError, UnknownKind, Unstorable
from heavyjobs.model import E, Policy, R, S
from heavyjobs.units import Duration, Size, seconds, size_bytes
from heavyjobs.values import PARAMETERS_MAX_BYTES, JsonText, decode, encode

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobConfig:
    """How jobs of a type want to be run. Durations as `"2h"`, seconds or `timedelta`; sizes as `"2GiB"` or bytes.

    Attributes:
        queue: the named line it waits in; some coordinator must serve it.
        attempts: tries in all, 1 or more, before it is declared dead.
        backoff, backoff_max: wait before the second try, doubled for each further one up to the maximum, with jitter.
        timeout: of one try; None means no limit.
        grace: between the request to stop and the end by force.
        cpus: processors it will use; None means 1 for `def run`, 0 for `async def run`.
        memory: resident memory of its whole process tree; more ends the try as `out_of_memory`. None means no limit.
        priority: higher starts first.

    Raises:
        JobDefinitionError: a value that cannot be used; says which and what would do.
    """

    queue: str = "default"
    attempts: int = 3
    backoff: Duration = "10s"
    backoff_max: Duration = "10m"
    timeout: Duration | None = None
    grace: Duration = "10s"
    cpus: float | None = None
    memory: Size | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        self.policy(waits=False)

    def policy(self, *, waits: bool) -> Policy:
        """The same in plain numbers; `waits` says whether the job is an `async def`, which waits more than it computes."""
        if not self.queue or len(self.queue) > 100 or not self.queue.isprintable():
            raise JobDefinitionError(f"JobConfig(queue={self.queue!r}): a name of 1 to 100 printable characters would do")
        if not 1 <= self.attempts <= 1000:
            raise JobDefinitionError(f"JobConfig(attempts={self.attempts}): 1 to 1000 would do")
        if not -32768 <= self.priority <= 32767:
            raise JobDefinitionError(f"JobConfig(priority={self.priority}): -32768 to 32767 would do")
        if self.cpus is not None and not 0 <= self.cpus <= 4096:
            raise JobDefinitionError(f"JobConfig(cpus={self.cpus}): 0 to 4096 would do")
        try:
            return Policy(
                queue=self.queue,
                priority=self.priority,
                attempts=self.attempts,
                backoff_seconds=seconds(self.backoff),
                backoff_max_seconds=seconds(self.backoff_max),
                timeout_seconds=None if self.timeout is None else seconds(self.timeout),
                grace_seconds=seconds(self.grace),
                cpus=self.cpus if self.cpus is not None else 0.0 if waits else 1.0,
                memory_bytes=None if self.memory is None else size_bytes(self.memory),
            )
        except ValueError as error:
            raise JobDefinitionError(f"JobConfig: {error}") from None


class Job(BaseModel, Generic[R, S, E]):
    """A job type with result `R`, status `S` and error `E`; its fields are the parameters.

    Parameters are validated when submitted and again when run; unknown ones are refused. Give `kind=` to register the class;
    a class without a kind is a base for others.

    Class attributes:
        kind: the name that the database knows it by, like `archive.pack`.
        version: raise it when the parameters change their meaning, and teach `upgrade` the older ones.
        config: how it wants to be run; override `configure` where that depends on the parameters.

    Raises:
        JobDefinitionError: when the class is made: a field that hides an attribute of Job, a bad or taken kind.
    """

    model_config = ConfigDict(extra="forbid", validate_default=True)

    kind: ClassVar[str] = ""
    version: ClassVar[int] = 1
    config: ClassVar[JobConfig] = JobConfig()

    def __init_subclass__(cls, *, kind: str | None = None, version: int | None = None) -> None:
        super().__init_subclass__()
        if kind is not None:
            cls.kind = kind
        if version is not None:
            cls.version = version

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
        super().__pydantic_init_subclass__()
        for name in cls.model_fields:
            if hasattr(Job, name):
                raise JobDefinitionError(
                    f"{cls.__qualname__}.{name}: the field hides an attribute of Job; "
                    f'name it {name}_ and give it Field(alias="{name}")'
                )
        if keywords.get("kind") is not None:
            _register(cls, cls.kind, cls.version)

    def run(self, ctx: EitherContext[S, E]) -> R | Awaitable[R]:
        """Do the work: `def run` in a process of its own, or `async def run` on the lane for jobs that wait.

        Returns:
            The result, which is stored as JSON.
        """
        raise JobDefinitionError(
            f"{type(self).__qualname__}: no run method; write def run(self, ctx) or async def run(self, ctx)"
        )

    def configure(self) -> JobConfig:
        """How this job wants to be run; called once, by the submitter."""
        return self.config

    def retry_if(self, result: R) -> bool:
        """Whether a result is as good as none, and the job is to be tried again; called in the worker."""
        return False

    @classmethod
    def upgrade(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        """Turn the parameters of an older version into today's, before they are validated."""
        return data

    # -- what the rest of heavyjobs asks a job type

    @classmethod
    def waits(cls) -> bool:
        """Whether it is an `async def`."""
        return inspect.iscoroutinefunction(cls.run)

    def parameters(self) -> JsonText:
        """The parameters as they are stored.

        Raises:
            Unstorable: too large, or with values that JSON or a database cannot hold.
            InvalidParameters: they would not be accepted again when run.
        """
        text = encode(self.model_dump(mode="json", by_alias=True), what=self.kind, max_bytes=PARAMETERS_MAX_BYTES)
        self.parse(self.version, text)
        return text

    def policy(self) -> Policy:
        return self.configure().policy(waits=self.waits())

    @classmethod
    def parse(cls, version: int, text: str | bytes) -> Self:
        """Make a job from stored or foreign parameters.

        Raises:
            InvalidParameters: each field's problem, in one text.
        """
        try:
            if version != cls.version:
                upgraded = cls.upgrade(version, decode(text))
                text = encode(upgraded, what=f"{cls.kind}.upgrade", max_bytes=PARAMETERS_MAX_BYTES)
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidParameters(cls.kind, problems(error, cls)) from None
        except Unstorable as error:
            raise InvalidParameters(cls.kind, [("upgrade", str(error))]) from None

    @classmethod
    def result_adapter(cls) -> TypeAdapter[R]:
        return cast("TypeAdapter[R]", _adapter(_type_arguments(cls)[0]))

    @classmethod
    def status_adapter(cls) -> TypeAdapter[S] | None:
        """None for a type without status."""
        status = _type_arguments(cls)[1]
        return None if status is Never else cast("TypeAdapter[S]", _adapter(status))

    @classmethod
    def error_adapter(cls) -> TypeAdapter[E] | None:
        """None for a type without an error of its own."""
        error = _type_arguments(cls)[2]
        return None if error is Never else cast("TypeAdapter[E]", _adapter(error))


AnyJob = Job[Any, Any, Any]

_KINDS: Final[dict[str, type[AnyJob]]] = {}


def kinds() -> Mapping[str, type[AnyJob]]:
    """The job types known in this process, by kind."""
    return _KINDS


def job_type(kind: str) -> type[AnyJob]:
    """The job type of that kind.

    Raises:
        UnknownKind: says which was probably meant.
    """
    if found := _KINDS.get(kind):
        return found
    near = difflib.get_close_matches(kind, _KINDS, n=1)
    known = ", ".join(sorted(_KINDS)) or "none; name the modules that define job types in the configuration"
    raise UnknownKind(f"{kind}: no such kind" + (f"; did you mean {near[0]}?" if near else f"; known: {known}"))


def _register(cls: type[AnyJob], kind: str, version: int) -> None:
    if (
        not kind
        or len(kind) > 100
        or not kind.replace(".", "").replace("_", "").replace("-", "").isalnum()
        or not kind.isascii()
    ):
        raise JobDefinitionError(
            f"{cls.__qualname__}: kind={kind!r} is not a name; use letters, digits, . - and _, like archive.pack"
        )
    if version < 1:
        raise JobDefinitionError(f"{cls.__qualname__}: version={version}; versions count from 1")
    other = _KINDS.get(kind)
    if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise JobDefinitionError(f"{cls.__qualname__}: kind={kind!r} is taken by {other.__module__}.{other.__qualname__}")
    _KINDS[kind] = cls


@cache
def _adapter(of: Any) -> TypeAdapter[Any]:
    return TypeAdapter(of)


@cache
def _type_arguments(cls: type[AnyJob]) -> tuple[Any, Any, Any]:
    """R, S and E of a job type: each generic base is resolved through the parameters of its origin until the origin is Job."""
    known: dict[Any, Any] = {}
    for base in cls.__mro__:
        metadata = getattr(base, "__pydantic_generic_metadata__", None)
        if not metadata or metadata["origin"] is None:
            continue
        arguments = tuple(known.get(argument, argument) for argument in metadata["args"])
        if metadata["origin"] is Job:
            result, status, error = (_resolved(argument) for argument in arguments)
            return result, status, error
        known.update(zip(metadata["origin"].__pydantic_generic_metadata__["parameters"], arguments, strict=True))
    return type(None), Never, Never


def _resolved(argument: Any) -> Any:
    if isinstance(argument, TypeVar):
        argument = argument.__default__ if argument.has_default() else Any
    return type(None) if argument is None else argument


def problems(error: ValidationError, model: type[BaseModel] | None = None) -> list[tuple[str, str]]:
    """pydantic's reasons, said for people: which field, what is wrong, what would do."""
    names = [field.alias or name for name, field in model.model_fields.items()] if model else []
    found: list[tuple[str, str]] = []
    for problem in error.errors(include_url=False):
        field = ".".join(str(part) for part in problem["loc"]) or "value"
        match problem["type"]:
            case "missing":
                reason = "is missing"
            case "extra_forbidden":
                near = difflib.get_close_matches(field, names, n=1)
                reason = "no such field" + (f"; did you mean {near[0]}?" if near else f"; fields: {', '.join(names)}")
            case _:
                reason = problem["msg"].removeprefix("Value error, ")
                shown = repr(problem["input"])
                reason += f" (got {shown if len(shown) <= 60 else shown[:57] + '…'})"
        found.append((field, reason))
    return found
