"""Learn which job types the configured modules define, in a throw-away process: the coordinator itself imports no user code.

python -m heavyjobs.slots.probe < options.json > kinds.json
"""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter, ValidationError

from heavyjobs.errors import ConfigurationError
from heavyjobs.events import Confinement
from heavyjobs.job import kinds
from heavyjobs.slots.confinement import UNCONFINED, confine_as_told, environment, limit

PROBE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class KindSeen:
    """A job type: its newest version, and whether it is an `async def`."""

    version: int
    waits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    path: tuple[str, ...]
    modules: tuple[str, ...]
    preload: tuple[str, ...]
    confinement: Confinement = field(default_factory=Confinement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What importing the modules gave.

    Attributes:
        preload: the modules of `preload` that can be imported; one that cannot would end the server that forks workers.
        problems: what failed, one line each.
    """

    kinds: dict[str, KindSeen] = field(default_factory=dict[str, KindSeen])
    preload: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


_ASKED: Final = TypeAdapter(Asked)
_PROBED: Final = TypeAdapter(Probed)


async def probe(asked: Asked) -> Probed:
    """Import in a process of its own, which may take `PROBE_SECONDS`, crash, or print what it likes.

    The answer comes through a pipe that user code does not know of.

    Raises:
        ConfigurationError: no process for user code can be confined as it is configured.
    """
    answer_read, answer_write = os.pipe()
    with os.fdopen(answer_read, "rb") as answer:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "heavyjobs.slots.probe", str(answer_write)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(answer_write,),
                start_new_session=True,
                env=environment(asked.confinement),
            )
        finally:
            os.close(answer_write)
        reading = asyncio.ensure_future(asyncio.to_thread(answer.read))
        said = await _within_time(process, _ASKED.dump_json(asked))
        try:
            return _PROBED.validate_json(await reading)
        except ValidationError:
            last = said.decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
            if process.returncode == UNCONFINED:
                raise ConfigurationError(last) from None
            return Probed(problems=(f"importing {', '.join(asked.modules)} ended the process ({process.returncode}): {last}",))


async def _within_time(process: asyncio.subprocess.Process, asked: bytes) -> bytes:
    """What the process says on standard error until its end, which comes in time or by force."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return (await process.communicate(asked))[1]
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return f"it took more than {PROBE_SECONDS:.0f} s".encode()


def _import(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names that could be imported, and problems."""
    good: list[str] = []
    problems: list[str] = []
    for name in names:
        try:
            importlib.import_module(name)
            good.append(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - user code: each module's failure is its own
            problems.append(f"module {name}: {type(error).__name__}: {error}{_where(error)}")
    return good, problems


def _where(error: BaseException) -> str:
    """The user's line that failed, if there is one; a SyntaxError says itself where."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)[1:] if not frame.filename.startswith("<frozen")]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames and not isinstance(error, SyntaxError) else ""


def main() -> None:
    confine_as_told()
    asked = _ASKED.validate_json(sys.stdin.buffer.read())
    limit(asked.confinement)
    sys.path[:0] = asked.path
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        preload, preload_problems = _import(asked.preload)
        _, problems = _import(asked.modules)
    found = {kind: KindSeen(job_type.version, job_type.waits()) for kind, job_type in kinds().items()}
    answer = Probed(kinds=found, preload=tuple(preload), problems=(*preload_problems, *problems))
    with os.fdopen(int(sys.argv[1]), "wb") as to_coordinator:
        to_coordinator.write(_PROBED.dump_json(answer))


if __name__ == "__main__":
    main()
