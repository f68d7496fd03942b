"""Child programs whose lines are read as they come, and of which nothing is left when the block is left early.

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
from typing import Final, Literal, TypeAlias, TypeVar

import psutil

from heavyjobs.errors import ProgramFailed, WorkError
from heavyjobs.shielding import Shield, surely
from heavyjobs.textlines import LineCutter

Stream: TypeAlias = Literal["stdout", "stderr"]
T = TypeVar("T")

TERM_SECONDS: Final = 2.0
"""Between the polite signal and the other one."""
KILL_SECONDS: Final = 2.0
"""How long to look for survivors of SIGKILL: only a process in D state outlasts it."""
TAIL_LINES: Final = 20
POLL_SECONDS: Final = 0.2
"""How often a silent stream is left to see whether the program has gone and only a grandchild holds the stream open."""
READ_BYTES: Final = 64 << 10
MARK: Final = "HEAVYJOBS_PROGRAM"
WORKER_MARK: Final = "HEAVYJOBS_WORKER"
"""As `slots.tree` marks all that a worker starts."""


@contextmanager
def program(
    argv: Sequence[str | Path],
    *,
    stream: Stream,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    log: Callable[[str], None],
    shield: Shield = nullcontext,
) -> Generator[Iterator[str]]:
    """What `Context.program` promises; `log` is called from a thread."""
    running = Running(argv, stream=stream, log=log)
    with surely(running.end, shield=shield):
        with shield():
            running.start(cwd=cwd, env=env)
        yield running.lines()


@asynccontextmanager
async def async_program(
    argv: Sequence[str | Path],
    *,
    stream: Stream,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    log: Callable[[str], None],
) -> AsyncGenerator[AsyncIterator[str]]:
    """The same beside an event loop: what blocks, blocks a thread of its own."""
    running = Running(argv, stream=stream, log=log)
    with ThreadPoolExecutor(1, thread_name_prefix="program") as thread:
        running.start(cwd=cwd, env=env)
        try:
            yield _lines(running, thread)
        finally:
            running.terminate()
            await _to_the_end(thread, running.end)


class Running:
    """One program, from its start to its end.

    `start`, `batch`, `finish` and `end` are called by one thread at a time; `terminate` by any.
    """

    def __init__(self, argv: Sequence[str | Path], *, stream: Stream, log: Callable[[str], None]) -> None:
        self._argv: Final = [str(argument) for argument in argv]
        self._stream: Final[Stream] = stream
        self._log: Final = log
        self._mark: Final = secrets.token_hex(8)
        self._tail: Final[deque[str]] = deque(maxlen=TAIL_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._logging: threading.Thread | None = None
        self._reader: _Reader | None = None

    def start(self, *, cwd: Path | None, env: Mapping[str, str] | None) -> None:
        """Start it.

        Raises:
            WorkError: there is no such program, or no such folder to run it in.
        """
        process = self._process = _popen(self._argv, cwd=cwd, env=_environment(env, self._mark))
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        chosen, other = process.stdout, process.stderr
        if self._stream == "stderr":
            chosen, other = other, chosen
        self._reader = _Reader(chosen.fileno(), lambda: _exited(process))
        logged = _Reader(other.fileno(), lambda: _exited(process))
        self._logging = threading.Thread(target=self._log_all, args=(logged,), name="program log", daemon=True)
        self._logging.start()

    def lines(self) -> Iterator[str]:
        """The lines of the chosen stream, then `finish`."""
        while (batch := self.batch()) is not None:
            yield from batch
        self.finish()

    def batch(self) -> list[str] | None:
        """The lines that have come, perhaps none yet; None at the end. Waits a moment at most."""
        return None if self._reader is None else self._reader.batch()

    def finish(self) -> None:
        """Wait for its end after its last line.

        Raises:
            ProgramFailed: another code than 0, or a signal.
        """
        if (process := self._process) is None:
            return
        while not _exited(process):
            time.sleep(0.005)
        self._close()
        if process.returncode:
            code, number = (process.returncode, None) if process.returncode > 0 else (None, -process.returncode)
            raise ProgramFailed(self._argv, code=code, signal=number, tail=self._tail)

    def terminate(self) -> None:
        """Ask its process group to end."""
        if self._process is not None and self._process.returncode is None:
            _signal_group(self._process, signal.SIGTERM)

    def end(self) -> None:
        """Leave nothing of it: SIGTERM, a moment, SIGKILL. Harmless when repeated or when it has ended by itself."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            family = _family(process.pid)
            self.terminate()
            _wait(process, TERM_SECONDS)
            _kill(process, family)
            _kill_marked(self._mark)
        self._close()

    def _close(self) -> None:
        """Reap it and release its streams, once it has ended."""
        assert self._process is not None  # noqa: S101
        process = self._process
        if process.returncode is None:  # not reaped: its number still names its group and nobody else's
            _signal_group(process, signal.SIGKILL)
        if self._logging is not None:
            self._logging.join(KILL_SECONDS)
        with suppress(subprocess.TimeoutExpired):
            process.wait(KILL_SECONDS)
        if self._logging is None or not self._logging.is_alive():
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def _log_all(self, reader: _Reader) -> None:
        while (batch := reader.batch()) is not None:
            for line in batch:
                self._tail.append(line)
                self._log(line)


class _Reader:
    """Reads a pipe until its end, or until it is silent and the program has exited."""

    def __init__(self, descriptor: int, exited: Callable[[], bool]) -> None:
        self._descriptor: Final = descriptor
        self._exited: Final = exited
        self._poll: Final = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._cutter: LineCutter | None = LineCutter()

    def batch(self) -> list[str] | None:
        if self._cutter is None:
            return None
        exited = self._exited()
        if not self._poll.poll(0 if exited else POLL_SECONDS * 1000):
            return self._ended() if exited else []
        data = os.read(self._descriptor, READ_BYTES)
        return self._cutter.feed(data) if data else self._ended()

    def _ended(self) -> list[str]:
        assert self._cutter is not None  # noqa: S101
        rest, self._cutter = self._cutter.end(), None
        return rest


async def _lines(running: Running, thread: ThreadPoolExecutor) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    while (batch := await loop.run_in_executor(thread, running.batch)) is not None:
        for line in batch:
            yield line
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


def _environment(env: Mapping[str, str] | None, mark: str) -> dict[str, str]:
    """What the program gets: ours, or the given one with our marks, by which those that flee are found."""
    kept = os.environ if env is None else {name: os.environ[name] for name in (WORKER_MARK,) if name in os.environ} | dict(env)
    return {**kept, MARK: mark}


def _popen(argv: Sequence[str], *, cwd: Path | None, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    if not argv or any("\0" in argument for argument in argv):
        raise WorkError(f"{list(argv)!r} is not a command; give the program and its arguments, without NUL")
    if cwd is not None and not cwd.is_dir():
        raise WorkError(f"{cwd}: no such folder to run {argv[0]} in; make it first")
    try:
        return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            argv,
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=cwd,
            env=env,
        )
    except FileNotFoundError:
        raise WorkError(f"{argv[0]}: no such program; install it on this host, or give its full path") from None
    except PermissionError:
        raise WorkError(f"{argv[0]}: not a program that may be run; check its permissions") from None


def _exited(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended; where the system allows, without reaping it, so that its number is not given to others."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    if process.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _exited(process) and time.monotonic() < deadline:
        time.sleep(0.005)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def _kill(process: subprocess.Popen[bytes], known: Sequence[psutil.Process]) -> None:
    family = {*known, *_family(process.pid)}
    _signal_group(process, signal.SIGKILL)
    for member in family:
        with suppress(psutil.Error):
            member.kill()


def _kill_marked(mark: str) -> None:
    """Kill whoever was started with this mark in its environment, until none is left."""
    deadline = time.monotonic() + KILL_SECONDS
    while (found := _marked(mark)) and time.monotonic() < deadline:
        for member in found:
            with suppress(psutil.Error):
                member.kill()
        psutil.wait_procs(found, timeout=0.05)


def _marked(mark: str) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found
