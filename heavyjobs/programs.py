"""Child programs whose lines, or bytes, are read as they come, and of which nothing is left when the block is left early.

Guarantees: neither stream can block the program for want of a reader; a program that is ended takes with it its process group,
its descendants, and those that fled from both but kept the environment they were started with.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from heavyjobs import lifeline, processes
from heavyjobs.errors import ProgramFailed, UsageError
from heavyjobs.shielding import Shield, surely
from heavyjobs.textlines import LineCutter

Stream: TypeAlias = Literal["stdout", "stderr"]
Argument: TypeAlias = str | os.PathLike[str]
T = TypeVar("T")

TERM_SECONDS: Final = 2.0
"""Between the polite signal and the other one."""
TAIL_LINES: Final = 20
POLL_SECONDS: Final = 0.2
"""How often a silent stream is left to see whether the program has gone and only a grandchild holds the stream open."""
READ_BYTES: Final = 64 << 10


class Cutter(Protocol[T]):
    """Makes what a stream consists of from the bytes that come."""

    def feed(self, data: bytes) -> list[T]: ...

    def end(self) -> list[T]: ...


class Uncut:
    """Bytes as they come."""

    def feed(self, data: bytes) -> list[bytes]:
        return [data]

    def end(self) -> list[bytes]:
        return []


@contextmanager
def program(
    argv: Sequence[Argument],
    *,
    stream: Stream,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    log: Callable[[str], None],
    watch: Callable[[], None] | None = None,
    shield: Shield = nullcontext,
) -> Generator[Iterator[str]]:
    """What `Context.program` promises; `log` is called from a thread."""
    running = Running(argv, LineCutter(), stream=stream, log=log, watch=watch)
    with surely(running.end, shield=shield):
        with shield():
            running.start(cwd=cwd, env=env)
        yield running.pieces()


@contextmanager
def program_bytes(
    argv: Sequence[Argument], *, stdin: int, log: Callable[[str], None], shield: Shield = nullcontext
) -> Generator[Iterator[bytes]]:
    """What `Context.program_bytes` promises; `log` is called from a thread."""
    running = Running(argv, Uncut(), stream="stdout", log=log)
    with surely(running.end, shield=shield):
        with shield():
            running.start(cwd=None, env=None, stdin=stdin)
        yield running.pieces()


@asynccontextmanager
async def async_program(
    argv: Sequence[Argument],
    *,
    stream: Stream,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    log: Callable[[str], None],
    watch: Callable[[], None] | None = None,
) -> AsyncGenerator[AsyncIterator[str]]:
    """The same beside an event loop: what blocks, blocks a thread of its own, and that calls `watch`."""
    running = Running(argv, LineCutter(), stream=stream, log=log, watch=watch)
    async with _beside_a_loop(running, lambda: running.start(cwd=cwd, env=env)) as lines:
        yield lines


@asynccontextmanager
async def async_program_bytes(
    argv: Sequence[Argument], *, stdin: int, log: Callable[[str], None]
) -> AsyncGenerator[AsyncIterator[bytes]]:
    """The same beside an event loop."""
    running = Running(argv, Uncut(), stream="stdout", log=log)
    async with _beside_a_loop(running, lambda: running.start(cwd=None, env=None, stdin=stdin)) as pieces:
        yield pieces


@asynccontextmanager
async def _beside_a_loop(running: Running[T], start: Callable[[], None]) -> AsyncGenerator[AsyncIterator[T]]:
    with ThreadPoolExecutor(1, thread_name_prefix="program") as thread:
        try:
            start()
            yield _pieces(running, thread)
        finally:
            running.terminate()
            await _to_the_end(thread, running.end)


class Running(Generic[T]):
    """One program, from its start to its end.

    `start`, `batch`, `finish` and `end` are called by one thread at a time; `terminate` by any.
    """

    def __init__(
        self,
        argv: Sequence[Argument],
        cutter: Cutter[T],
        *,
        stream: Stream,
        log: Callable[[str], None],
        watch: Callable[[], None] | None = None,
    ) -> None:
        self._argv: Final = _arguments(argv)
        self._cutter: Final = cutter
        self._stream: Final[Stream] = stream
        self._log: Final = log
        self._watch: Final = watch
        self._mark: Final = secrets.token_hex(8)
        self._tail: Final[deque[str]] = deque(maxlen=TAIL_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._tied: int | None = None
        self._logging: threading.Thread | None = None
        self._log_error: Exception | None = None
        self._reader: _Reader[T] | None = None

    def start(self, *, cwd: Path | None, env: Mapping[str, str] | None, stdin: int = subprocess.DEVNULL) -> None:
        """Start it; `stdin` is a descriptor.

        Raises:
            WorkError: there is no such program, or no such folder to run it in.
        """
        process = self._process = processes.start(self._argv, cwd=cwd, env=processes.environment(env, self._mark), stdin=stdin)
        self._tied = lifeline.tie(process.pid)
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        chosen, other = process.stdout, process.stderr
        if self._stream == "stderr":
            chosen, other = other, chosen
        self._reader = _Reader(chosen.fileno(), self._cutter, lambda: processes.exited(process))
        logged = _Reader(other.fileno(), LineCutter(), lambda: processes.exited(process))
        logging = threading.Thread(target=self._log_all, args=(logged,), name="program log", daemon=True)
        logging.start()
        self._logging = logging

    def pieces(self) -> Iterator[T]:
        """The lines or bytes of the chosen stream, then `finish`."""
        while (batch := self.batch()) is not None:
            yield from batch
        self.finish()

    def batch(self) -> list[T] | None:
        """What has come, perhaps nothing yet; None at the end. Waits a moment at most."""
        if self._watch is not None:
            self._watch()
        return None if self._reader is None else self._reader.batch()

    def finish(self) -> None:
        """Wait for its end after its last line, and until all of the other stream is logged.

        Raises:
            ProgramFailed: another code than 0, or a signal.
            Exception: what `log` raised, or `watch`.
        """
        if (process := self._process) is None or self._logging is None:
            return
        while not processes.exited(process):
            if self._watch is not None:
                self._watch()
            time.sleep(0.005)
        processes.signal_group(process, signal.SIGKILL)
        self._logging.join()
        self._close()
        if self._log_error is not None:
            raise self._log_error
        if process.returncode:
            code, number = (process.returncode, None) if process.returncode > 0 else (None, -process.returncode)
            raise ProgramFailed(self._argv, code=code, signal=number, tail=self._tail)

    def terminate(self) -> None:
        """Ask its process group to end."""
        if self._process is not None and self._process.returncode is None:
            processes.signal_group(self._process, signal.SIGTERM)

    def end(self) -> None:
        """Leave nothing of it: SIGTERM, a moment, SIGKILL. Harmless when repeated or when it has ended by itself."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            family = processes.family(process.pid)
            self.terminate()
            processes.wait(process, TERM_SECONDS)
            processes.kill(process, family)
            processes.kill_marked(self._mark)
        self._close()

    def _close(self) -> None:
        """Reap it and release its streams, once it has ended."""
        assert self._process is not None  # noqa: S101
        process = self._process
        if process.returncode is None:  # not reaped: its number still names its group and nobody else's
            processes.signal_group(process, signal.SIGKILL)
        if self._tied is not None:
            os.close(self._tied)
            self._tied = None
        if self._logging is not None:
            self._logging.join(processes.KILL_SECONDS)
        with suppress(subprocess.TimeoutExpired):
            process.wait(processes.KILL_SECONDS)
        if self._logging is None or not self._logging.is_alive():
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def _log_all(self, reader: _Reader[str]) -> None:
        while (batch := reader.batch()) is not None:
            for line in batch:
                self._tail.append(line)
                self._log_line(line)

    def _log_line(self, line: str) -> None:
        if self._log_error is None:
            try:
                self._log(line)
            except Exception as error:  # noqa: BLE001 - raised by finish; without a reader the program would wait for ever
                self._log_error = error


def _arguments(argv: Sequence[Argument]) -> list[str]:
    """The command as text.

    Raises:
        UsageError: it is one text, which a shell would have to take apart.
    """
    if isinstance(argv, str):
        raise UsageError(f"program: there is no shell to read {argv!r}; pass a list: {argv.split()}")
    return [os.fspath(argument) if isinstance(argument, os.PathLike) else str(argument) for argument in argv]


class _Reader(Generic[T]):
    """Reads a pipe until its end, or until it is silent and the program has exited."""

    def __init__(self, descriptor: int, cutter: Cutter[T], exited: Callable[[], bool]) -> None:
        self._descriptor: Final = descriptor
        self._exited: Final = exited
        self._poll: Final = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._cutter: Cutter[T] | None = cutter

    def batch(self) -> list[T] | None:
        if self._cutter is None:
            return None
        exited = self._exited()
        if not self._poll.poll(0 if exited else POLL_SECONDS * 1000):
            return self._ended() if exited else []
        data = os.read(self._descriptor, READ_BYTES)
        return self._cutter.feed(data) if data else self._ended()

    def _ended(self) -> list[T]:
        assert self._cutter is not None  # noqa: S101
        rest, self._cutter = self._cutter.end(), None
        return rest


async def _pieces(running: Running[T], thread: ThreadPoolExecutor) -> AsyncIterator[T]:
    loop = asyncio.get_running_loop()
    while (batch := await loop.run_in_executor(thread, running.batch)) is not None:
        for piece in batch:
            yield piece
    await loop.run_in_executor(thread, running.finish)


async def _to_the_end(thread: ThreadPoolExecutor, fn: Callable[[], None]) -> None:
    """Wait for `fn`, also when cancelled meanwhile; the cancel is raised afterwards."""
    future = asyncio.get_running_loop().run_in_executor(thread, fn)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
