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
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Final, Generic, Never, Self, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Secret, SecretBytes, SecretStr, TypeAdapter, ValidationError
from typing_extensions import NoDefault, TypeVar, override

from heavyjobs.context import EitherContext
from heavyjobs.errors import InvalidParameters, JobDefinitionError, UnknownKind, Unstorable
from heavyjobs.masking import without_url_passwords
from heavyjobs.model import E, Policy, R, S
from heavyjobs.units import Duration, Size, seconds, size_bytes
from heavyjobs.values import PARAMETERS_MAX_BYTES, JsonText, decode, encode, encode_typed, exact_serializer

N = TypeVar("N", int, float)
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
        if not _is_queue(self.queue):
            raise JobDefinitionError(f"queue={self.queue!r}: a name of 1 to 100 printable characters would do")
        if not _is_number(self.attempts, int, least=1, most=1000):
            raise JobDefinitionError(f"attempts={self.attempts!r}: a whole number from 1 to 1000 would do")
        if not _is_number(self.priority, int, least=-32768, most=32767):
            raise JobDefinitionError(f"priority={self.priority!r}: a whole number from -32768 to 32767 would do")
        if self.cpus is not None and not _is_number(self.cpus, int | float, least=0, most=4096):
            raise JobDefinitionError(f"cpus={self.cpus!r}: a number from 0 to 4096 would do")
        return Policy(
            queue=self.queue,
            priority=self.priority,
            attempts=self.attempts,
            backoff_seconds=_read(seconds, "backoff", self.backoff),
            backoff_max_seconds=_read(seconds, "backoff_max", self.backoff_max),
            timeout_seconds=None if self.timeout is None else _read(seconds, "timeout", self.timeout),
            grace_seconds=_read(seconds, "grace", self.grace),
            cpus=self.cpus if self.cpus is not None else 0.0 if waits else 1.0,
            memory_bytes=None if self.memory is None else _read(size_bytes, "memory", self.memory),
        )


def _is_queue(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= 100 and name.isprintable()


def _is_number(value: object, kind: type | UnionType, *, least: float, most: float) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and least <= cast("float", value) <= most


def _read(read: Callable[[T], N], name: str, value: T) -> N:
    try:
        return read(value)
    except ValueError as error:
        raise JobDefinitionError(f"{name}: {error}") from None


class Job(BaseModel, Generic[R, S, E]):
    """A job type with result `R`, status `S` and error `E`; its fields are the parameters.

    Parameters are validated when a job is made (which raises pydantic's `ValidationError`; `submit_kind` and the command line
    raise `InvalidParameters`), when it is submitted, and again when it is run; unknown ones are refused. A secret is no
    parameter: pass where to find it, such as `env:NAME`.

    Give `kind=` to register the class; a class without is a base for others.

    Class attributes:
        kind: the name that the database knows it by, like `archive.pack`.
        version: raise it when the parameters change their meaning, and teach `upgrade` the older ones.
        config: how it wants to be run; override `configure` where that depends on the parameters.

    Raises:
        JobDefinitionError: when the class is made: a field that hides an attribute of Job, a bad or taken kind, no `run` that
            could be called.
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
            if fault := _fault(cls):
                raise JobDefinitionError(f"{cls.__qualname__}: {fault}")
            _register(cls)
        elif cls.__pydantic_generic_metadata__["origin"] is None:
            cls.kind = ""  # a base for others, also when it derives from a class that has a kind

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
            InvalidParameters: they would not be accepted again when run, or a secret is among them.
        """
        text = encode_typed(exact_serializer(type(self)), self, what=self.kind, max_bytes=PARAMETERS_MAX_BYTES)
        secret = [name for name in type(self).model_fields if _has_secret(getattr(self, name))]
        try:
            again = self.parse(self.version, text)
        except InvalidParameters:
            if not secret:
                raise
            again = None
        # A class may store its secrets, by a serializer of its own.
        if masked := [name for name in secret if again is None or getattr(self, name) != getattr(again, name)]:
            raise InvalidParameters(self.kind, [(name, _NO_SECRETS) for name in masked])
        return text

    def policy(self) -> Policy:
        """How it wants to be run, in plain numbers.

        Raises:
            JobDefinitionError: what `configure` returns is no `JobConfig`, or has values that cannot be used.
        """
        config = self.configure()
        if not _is_config(config):
            raise JobDefinitionError(f"{type(self).__qualname__}: configure returned {config!r}; return a JobConfig")
        return config.policy(waits=self.waits())

    @classmethod
    def parse(cls, version: int, text: str | bytes) -> Self:
        """Make a job from stored or foreign parameters.

        Raises:
            InvalidParameters: each field's problem, in one text.
        """
        try:
            if version != cls.version:
                upgraded = cls.upgrade(version, _plain(cls.kind, text))
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

_KIND: Final = re.compile(r"[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*")
_NO_SECRETS: Final = "a secret would be stored as asterisks; make the field text and pass a reference such as env:NAME"
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


def _register(cls: type[AnyJob]) -> None:
    other = _KINDS.get(cls.kind)
    if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise JobDefinitionError(f"{cls.__qualname__}: kind={cls.kind!r} is taken by {other.__module__}.{other.__qualname__}")
    _KINDS[cls.kind] = cls


def _fault(cls: type[AnyJob]) -> str | None:
    """Why jobs of the class could not work; None when they can."""
    if not _is_kind(cls.kind):
        return f"kind={cls.kind!r} is not a name; use letters, digits, . - and _, like archive.pack"
    if not _is_number(cls.version, int, least=1, most=2**31 - 1):
        return f"version={cls.version!r}; versions are whole numbers that count from 1"
    if not _is_config(cls.config):
        return f"config is {cls.config!r}; write config = JobConfig(…)"
    if run_fault := _run_fault(cls.run):
        return f"{run_fault}; write def run(self, ctx) or async def run(self, ctx)"
    return None


def _is_config(value: object) -> bool:
    return isinstance(value, JobConfig)


def _is_kind(name: object) -> bool:
    return isinstance(name, str) and len(name) <= 100 and _KIND.fullmatch(name) is not None


def _run_fault(run: object) -> str | None:
    if run is Job.run:
        return "it has a kind but no run method"
    if not callable(run):
        return f"run is {run!r}"
    if inspect.isgeneratorfunction(run) or inspect.isasyncgenfunction(run):
        return "run yields, and nobody would iterate over it; return the result"
    if not _takes_one_context(inspect.signature(run)):
        return f"run takes {inspect.signature(run)}"
    return None


def _takes_one_context(signature: inspect.Signature) -> bool:
    """Whether it is called with the job and its context, and with nothing else; a decorator may hide that behind `*args`."""
    try:
        signature.bind("self", "ctx")
    except TypeError:
        return False
    named = [one for one in signature.parameters.values() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return len(named) <= 2


def _has_secret(value: object) -> bool:
    """Whether a value is a secret, or has one in it."""
    match value:
        case Secret() | SecretStr() | SecretBytes():
            return True
        case BaseModel():
            return any(_has_secret(item) for _, item in value)
        case dict():
            return any(_has_secret(item) for item in cast("dict[object, object]", value).values())
        case list() | tuple() | set() | frozenset():
            return any(_has_secret(item) for item in cast("Iterable[object]", value))
        case _ if is_dataclass(value):
            return any(_has_secret(getattr(value, field.name)) for field in fields(value))
        case _:
            return False


def _may_hold_secret(model: type[BaseModel], place: tuple[int | str, ...]) -> bool:
    """Whether what was given there, or within it, may be a secret, as the model's fields say."""
    known = model.model_fields
    chosen = [field for name, field in known.items() if place and place[0] in (name, field.alias, field.validation_alias)]
    return any(_names_secret(field.annotation) for field in chosen or known.values())


def _names_secret(annotation: Any, seen: tuple[Any, ...] = ()) -> bool:
    """Whether a type is one for secrets, or has one in it."""
    if isinstance(annotation, str):  # of a dataclass, not yet looked up
        return "Secret" in annotation
    if annotation in seen:
        return False
    of = get_origin(annotation) or annotation
    if isinstance(of, type) and issubclass(of, Secret | SecretStr | SecretBytes):
        return True
    inner = (*get_args(annotation), *getattr(annotation, "__annotations__", {}).values())
    return any(_names_secret(each, (*seen, annotation)) for each in inner)


@cache
def _adapter(of: Any) -> TypeAdapter[Any]:
    adapter = TypeAdapter[Any](of)
    adapter.serializer = exact_serializer(of)
    return adapter


@cache
def _type_arguments(cls: type[AnyJob]) -> tuple[Any, Any, Any]:
    """R, S and E of a job type: each generic base is resolved through the parameters of its origin until the origin is Job."""
    known: dict[Any, Any] = {}
    for base in cls.__mro__:
        metadata = getattr(base, "__pydantic_generic_metadata__", None)
        if not metadata or metadata["origin"] is None:
            continue
        arguments = tuple(_filled(argument, lambda one: known.get(one, one)) for argument in metadata["args"])
        if metadata["origin"] is Job:
            result, status, error = (_filled(argument, _default) for argument in arguments)
            return type(None) if result is None else result, status, error
        known.update(zip(metadata["origin"].__pydantic_generic_metadata__["parameters"], arguments, strict=True))
    return type(None), Never, Never


def _filled(argument: Any, by: Callable[[Any], Any]) -> Any:
    """The argument with its type variables replaced, those within `list[T]`, `T | None` or a generic model too."""
    if isinstance(argument, TypeVar):
        return by(argument)
    if model := getattr(argument, "__pydantic_generic_metadata__", None):
        variables = model["parameters"]
        return argument[tuple(by(one) for one in variables)] if variables else argument
    inner = tuple(_filled(one, by) for one in get_args(argument))
    if inner == get_args(argument):
        return argument
    origin: Any = Union if get_origin(argument) is UnionType else get_origin(argument)
    return origin[inner]


def _default(variable: Any) -> Any:
    default = getattr(variable, "__default__", NoDefault)
    return Any if default is NoDefault else default


def _plain(kind: str, text: str | bytes) -> Any:
    try:
        return decode(text)
    except ValueError as error:
        raise InvalidParameters(kind, [("parameters", f"not JSON: {error}")]) from None


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
                if not (model and _may_hold_secret(model, problem["loc"])):
                    shown = without_url_passwords(repr(problem["input"]))
                    reason += f" (got {shown if len(shown) <= 60 else shown[:57] + '…'})"
        found.append((field, reason))
    return found
