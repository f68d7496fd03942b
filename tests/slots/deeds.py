"""What jobs do in the tests of workers, one function each. Workers import this module."""

# ruff: noqa: T201, BLE001 - jobs print, and swallow what they should not

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import fcntl
import gc
import itertools
import locale
import logging
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from loguru import logger
from pydantic import BaseModel
from typing_extensions import override

from heavyjobs import AsyncContext, Context, Job
from heavyjobs.errors import CancelRequested, Unstorable
from heavyjobs.events import HEADER, Code
from heavyjobs.slots.wire import Wire


class Status(BaseModel):
    text: str


class Failed(BaseModel):
    why: str


class Deed(Job[Any, Status, Failed], kind="tests.deed"):
    name: str
    arguments: dict[str, Any]

    def run(self, ctx: Context[Status, Failed]) -> Any:
        return DEEDS[self.name](ctx, **self.arguments)


class AsyncDeed(Job[Any, Status, Failed], kind="tests.async_deed"):
    name: str
    arguments: dict[str, Any]

    async def run(self, ctx: AsyncContext[Status, Failed]) -> Any:
        return await ASYNC_DEEDS[self.name](ctx, **self.arguments)


class Counted(Job[int], kind="tests.counted"):
    """Says that it returns a number, but does not."""

    name: str
    arguments: dict[str, Any]

    def run(self, ctx: Context) -> int:
        return "three"  # type: ignore[return-value]  # the point


Ctx = Context[Status, Failed]

DEEDS: Final[dict[str, Callable[..., Any]]] = {}
ASYNC_DEEDS: Final[dict[str, Callable[..., Any]]] = {}


def deed(function: Callable[..., Any]) -> Callable[..., Any]:
    DEEDS[function.__name__] = function
    return function


def async_deed(function: Callable[..., Any]) -> Callable[..., Any]:
    ASYNC_DEEDS[function.__name__] = function
    return function


# -- saying things


@deed
def give_back(_ctx: Ctx, value: Any = None) -> Any:
    return value


@deed
def give_unstorable(_ctx: Ctx, what: str) -> Any:
    return {"large": "x" * (2 << 20), "nul": "nul \0", "object": object(), "64 bits": 1 << 70}[what]


@deed
def say_everything(_ctx: Ctx) -> None:
    print("printed")
    logging.getLogger("tests").error("logged %d", 1)
    logger.bind(a=1).debug("loguru {}", 2)
    print("to stderr", file=sys.stderr)
    warnings.warn("warned", stacklevel=1)
    subprocess.run(["echo", "echoed"], check=True)
    os.write(1, b"written to 1\n")
    os.write(2, b"written to 2 \xff\n")
    sys.stdout.buffer.write(b"bytes through Python\n")
    print("original", file=sys.__stdout__)
    ctypes.CDLL(None).puts(b"C says")
    print("unfinished", end="")


@deed
def say_in_turn(_ctx: Ctx, rounds: int) -> None:
    for number in range(rounds):
        print(f"print {number}")
        logging.getLogger("tests").info("logging %d", number)
        logger.info("loguru {}", number)


@deed
def say_odd_things(_ctx: Ctx) -> None:
    print("nul \0 surrogate \udc80")
    print("x" * 40_000)
    logging.getLogger("tests").info("%d arguments", "wrong")
    print()
    print("two\nlines")


@deed
def write_newlines(_ctx: Ctx, size: int) -> None:
    """As many bytes as that to each of the raw streams, every one of them a line."""
    for descriptor in (1, 2):
        left = b"\n" * size
        while left:
            left = left[os.write(descriptor, left) :]


@deed
def leave_writer(_ctx: Ctx) -> None:
    """Return while a thread writes to descriptor 1, as fast as it can and for ever."""
    writing = threading.Event()

    def write() -> None:
        while True:
            os.write(1, b"and so on\n" * 1000)
            writing.set()

    threading.Thread(target=write, daemon=True).start()
    writing.wait()


@deed
def report_too_much(ctx: Ctx) -> str:
    try:
        ctx.report(Status(text="x" * (10 << 20)))
    except Unstorable as error:
        return str(error)
    return "accepted"


# -- ending badly


@deed
def segfault(_ctx: Ctx) -> None:
    print("before the fault")
    ctypes.string_at(0)


@deed
def exit_with(_ctx: Ctx, code: int) -> None:
    print("before the exit")
    os._exit(code)


@deed
def kill_itself(_ctx: Ctx) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@deed
def raise_by_name(_ctx: Ctx, name: str) -> None:
    raise ERRORS[name]


class Unpicklable(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")
        self.lock = threading.Lock()


class Unspeakable(Exception):
    @override
    def __str__(self) -> str:
        raise RuntimeError("no words")


class ExitsWhenTold(Exception):
    @override
    def __str__(self) -> str:
        raise SystemExit(3)


ERRORS: Final[dict[str, BaseException]] = {
    "ExitsWhenTold": ExitsWhenTold(),
    "SystemExit": SystemExit(5),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "MemoryError": MemoryError("none left"),
    "GeneratorExit": GeneratorExit(),
    "Unpicklable": Unpicklable(1, 2),
    "Unspeakable": Unspeakable(),
    "odd text": ValueError("nul \0 surrogate \udc80 " + "x" * 100_000),
    "CancelRequested": CancelRequested("nobody asked for this"),
}


@deed
def allocate(_ctx: Ctx, size: int) -> int:
    return len(bytearray(size))


@deed
def recurse(ctx: Ctx) -> None:
    recurse(ctx)


@deed
def fail_and_swallow(ctx: Ctx) -> str:
    with contextlib.suppress(BaseException):
        ctx.fail(Failed(why="really"), retry=False)
    return "all is well"


# -- not stopping


@deed
def hang(_ctx: Ctx, how: str) -> None:
    print("hanging", flush=True)
    match how:
        case "sleep":
            time.sleep(600)
        case "spin":
            while True:
                pass
        case "regex":
            re.match(r"(a|aa)+$", "a" * 100 + "b")
        case "C sleep holding the lock":
            ctypes.PyDLL(None).sleep(600)
        case "C sleep":
            ctypes.CDLL(None).sleep(600)
        case "lock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        case "child":
            subprocess.run(["sleep", "600"], check=True)
        case _:
            raise AssertionError(how)


@deed
def hang_in_c(_ctx: Ctx) -> None:
    print("hanging", flush=True)
    deque(itertools.repeat(None), maxlen=0)


@deed
def swallow_all(_ctx: Ctx) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            print("hanging", flush=True)
            time.sleep(600)


@deed
def flood_until_stopped(_ctx: Ctx) -> int:
    """Log without end; how many lines were said before the request to stop."""
    number = 0
    try:
        for number in itertools.count():
            print(f"line {number} " + "x" * (number % 700))
    except CancelRequested:
        return number
    raise AssertionError("the count is without end")


@deed
def checkpoint_until_stopped(ctx: Ctx) -> None:
    print("checkpoints", flush=True)
    for number in itertools.count():
        ctx.checkpoint(Status(text=str(number)))


@deed
def publish(ctx: Ctx, path: str) -> str:
    """Be asked to stop in the middle of publishing; what happened to the file and to us."""
    try:
        with ctx.output(path) as out:
            out.path.write_text("whole")
            os.kill(os.getpid(), signal.SIGSTOP)  # the test goes on from here
    except CancelRequested:
        return f"cancelled, {'published' if Path(path).exists() else 'nothing there'}"
    return "published"


@deed
def shielded(ctx: Ctx) -> list[str]:
    done: list[str] = []
    try:
        with ctx.shielded():
            print("shielded", flush=True)
            deadline = time.monotonic() + 10
            while not signals_pending() and time.monotonic() < deadline:
                time.sleep(0.01)
            done.append("inside")
        done.append("after")
    except CancelRequested:
        done.append("cancelled")
    return done


def wire() -> Wire:
    """Ours, dug up as only harm would."""
    return next(found for found in gc.get_objects() if isinstance(found, Wire))


def signals_pending() -> bool:
    """Whether the request has come: the wire's shield knows."""
    return wire().shield._requested


# -- leaving things behind


@deed
def leave_children(_ctx: Ctx, how: str) -> int:
    match how:
        case "plain":
            return subprocess.Popen(["sleep", "600"]).pid
        case "session":
            return subprocess.Popen(["sleep", "600"], start_new_session=True).pid
        case "no environment":
            return subprocess.Popen(["sleep", "600"], start_new_session=True, env={}).pid
        case "daemon":
            # The classical way: the middle process ends, the last one is nobody's child.
            sleep = "s.Popen(['sleep', '600'], stdout=s.DEVNULL, stderr=s.DEVNULL, start_new_session=True)"
            code = f"import subprocess as s; print({sleep}.pid)"
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={}, start_new_session=True)
            return int(done.stdout)
        case "deaf":
            code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
            child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
            assert child.stdout is not None
            child.stdout.readline()
            return child.pid
        case _:
            raise AssertionError(how)


@deed
def nest_processes(_ctx: Ctx, depth: int) -> None:
    """Shells that wait for one another, so many deep; the last one says `bottom`."""
    script = 'if [ "$1" -gt 1 ]; then sh -c "$0" "$0" $(($1 - 1)); else echo bottom; fi; sleep 600'
    subprocess.run(["sh", "-c", script, script, str(depth)], check=True)


@deed
def fork_idly(_ctx: Ctx, size: int, forks: int) -> None:
    """Hold so many bytes, and share them with children that do nothing."""
    held = bytearray(size)
    held[::4096] = bytes(len(held[::4096]))
    children = [multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)) for _ in range(forks)]
    for child in children:
        child.start()
    print("forked", flush=True)
    for child in children:
        child.join()


@deed
def leave_children_and_hang(ctx: Ctx, how: str) -> None:
    print(leave_children(ctx, how), flush=True)
    swallow_all(ctx)


@deed
def leave_children_and_crash(ctx: Ctx) -> None:
    print(leave_children(ctx, "session"), flush=True)
    os._exit(3)


@deed
def leave_thread(_ctx: Ctx) -> None:
    threading.Thread(target=time.sleep, args=(600,), name="left").start()


@deed
def use_multiprocessing(_ctx: Ctx, method: str) -> int:
    with multiprocessing.get_context(method).Pool(1) as pool:
        return sum(pool.map(abs, [-1, -2]))


@deed
def fork_and_return(_ctx: Ctx) -> str:
    """Both the parent and the child come back from here."""
    child = os.fork()
    print("line of a fork" if child == 0 else "line of the parent")
    if child:
        os.waitpid(child, 0)
    return "child" if child == 0 else "parent"


@deed
def fork_and_flood(_ctx: Ctx) -> None:
    """Children print at the same time as their parent, through the objects that they have inherited."""
    children = []
    for child in range(3):
        if pid := os.fork():
            children.append(pid)
        else:
            for number in range(300):
                print(f"child {child} line {number} " + "y" * 1000)
                logging.getLogger("tests").info("child %d", child)
            os._exit(0)
    for number in range(300):
        print(f"parent line {number} " + "x" * 6000)
    for pid in children:
        os.waitpid(pid, 0)


# -- harming the coordinator


@deed
def name_descriptors(_ctx: Ctx) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found[path.name] = str(path.readlink())
    return found


@deed
def close_everything(_ctx: Ctx) -> None:
    print("closing")
    os.closerange(0, 4096)


@deed
def remove_sockets(_ctx: Ctx, folder: str, what: str) -> None:
    """Of the processes that fork workers; `folder` is where they are."""
    if what == "folder":
        shutil.rmtree(folder)
    for path in Path(folder).glob("listener-*"):
        path.unlink()


class Harm:
    """Unpickled anywhere, it leaves a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    @override
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (self.path,)


@deed
def pickle_everywhere(_ctx: Ctx, path: str) -> None:
    harm = pickle.dumps(Harm(path))
    for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):
            os.write(descriptor, harm)
            os.write(descriptor, len(harm).to_bytes(4, "big") + harm)


@deed
def write_to_pipe(_ctx: Ctx, data: list[int]) -> None:
    os.write(wire().descriptors[0], bytes(data))
    time.sleep(600)


# -- on the lane


@async_deed
async def doze(_ctx: AsyncContext[Status, Failed], seconds: float = 600) -> str:
    logger.info("dozing")
    await asyncio.sleep(seconds)
    return "rested"


@async_deed
async def hold_up_all(_ctx: AsyncContext[Status, Failed], until: str) -> None:
    """In one step, until that file is there."""
    while not Path(until).exists():  # noqa: ASYNC240
        time.sleep(0.01)  # noqa: ASYNC251


@async_deed
async def leave_task(_ctx: AsyncContext[Status, Failed], path: str) -> None:
    async def later() -> None:
        await asyncio.sleep(0.1)
        Path(path).touch()  # noqa: ASYNC240

    _kept.add(asyncio.create_task(later()))


_kept: Final[set[asyncio.Task[None]]] = set()


@async_deed
async def let_a_cancel_out(_ctx: AsyncContext[Status, Failed]) -> None:
    """Of a task that it has cancelled itself."""
    task = asyncio.create_task(asyncio.sleep(600))
    await asyncio.sleep(0)
    task.cancel()
    await task


@async_deed
async def exit_in_task(_ctx: AsyncContext[Status, Failed]) -> None:
    async def leave() -> None:
        sys.exit(4)

    await asyncio.create_task(leave())


@async_deed
async def crash_in_step(_ctx: AsyncContext[Status, Failed]) -> None:
    await asyncio.sleep(0.01)
    os._exit(6)


@async_deed
async def say(ctx: AsyncContext[Status, Failed], text: str) -> str:
    print(text)
    ctx.report(Status(text=text))
    await asyncio.sleep(0.01)
    logger.info("{} again", text)
    return text


@async_deed
async def say_in_threads(_ctx: AsyncContext[Status, Failed], text: str) -> None:
    await asyncio.get_running_loop().run_in_executor(None, print, f"{text} in the executor")
    await asyncio.to_thread(print, f"{text} in a thread")


@async_deed
async def run_yes(_ctx: AsyncContext[Status, Failed]) -> None:
    """A program that writes to the descriptor that all on the lane share, as fast as it can and for ever."""
    process = await asyncio.create_subprocess_exec("yes")
    try:
        await process.wait()
    finally:
        process.kill()


@async_deed
async def fail(ctx: AsyncContext[Status, Failed]) -> None:
    try:
        ctx.fail(Failed(why="async"))
    except BaseException:
        logger.info("swallowed")


# -- changing the process


@deed
def change_everything(_ctx: Ctx, folder: str) -> None:
    """Leave the process as no job should find it."""
    os.chdir(folder)
    os.umask(0o077)
    os.environ["LEFT"] = "by another"
    del os.environ["PATH"]
    locale.setlocale(locale.LC_ALL, "C")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(9))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    signal.setitimer(signal.ITIMER_PROF, 0.2)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])
    faulthandler.unregister(signal.SIGUSR2)
    sys.setrecursionlimit(10**9)
    sys.path.insert(0, folder)


@deed
def leave_an_alarm_that_raises(ctx: Ctx) -> None:
    """It would come while the worker removes what lies in the workspace."""
    for number in range(4000):
        (ctx.workspace / str(number)).touch()

    def ring(_number: int, _frame: object) -> None:
        raise ValueError("nobody is here any more")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)


@deed
def block_signals_and_raise_them(_ctx: Ctx) -> None:
    """They wait; whoever lets them through dies of them."""
    numbers = [signal.SIGALRM, signal.SIGTERM, signal.SIGUSR2]
    faulthandler.unregister(signal.SIGUSR2)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    for number in numbers:
        os.kill(os.getpid(), number)


@deed
def take_the_dump_signal(_ctx: Ctx) -> None:
    signal.signal(signal.SIGUSR2, lambda *_: None)


@deed
def tell_everything(_ctx: Ctx) -> list[str]:
    """What a job can see of it."""
    handlers = [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGALRM)]
    timers = [str(signal.getitimer(timer)) for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF)]
    umask = os.umask(0o022)
    os.umask(umask)
    mask = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    rest = [str(Path.cwd()), oct(umask), locale.setlocale(locale.LC_ALL), str(mask)]
    python = [str(sys.getrecursionlimit()), str(sys.path)]
    return [*handlers, *timers, *rest, *python, *(f"{name}={value}" for name, value in sorted(os.environ.items()))]


@deed
def be_nice(_ctx: Ctx) -> int:
    return os.nice(1)


@deed
def recurse_in_c(_ctx: Ctx) -> None:
    """To the end of the stack: no limit of the interpreter stops it."""
    sys.setrecursionlimit(10**9)
    nested: list[Any] = []
    for _ in range(10**6):
        nested = [nested]
    repr(nested)


# -- losing what it speaks through


@deed
def close_streams(_ctx: Ctx) -> str:
    os.closerange(0, 3)
    print("said all the same")
    return "done"


@deed
def close_all_but_streams(_ctx: Ctx, then: str) -> None:
    print("closing", flush=True)
    os.closerange(3, 4096)
    if then == "hang":
        time.sleep(600)


@deed
def write_half_a_frame(_ctx: Ctx, then: str) -> None:
    """Found as anyone could: whatever pipe takes it."""
    for path in Path("/proc/self/fd").iterdir():
        number = int(path.name)
        if number > 2 and path.exists() and path.readlink().name.startswith("pipe:"):
            with contextlib.suppress(OSError):
                os.write(number, HEADER.pack(1 << 20, Code.LOG, 1) + b"[")
    if then == "hang":
        time.sleep(600)


@deed
def leave_half_a_frame_behind(_ctx: Ctx) -> None:
    """It comes once the end is told; what was printed before takes more than one bite."""
    up = wire().descriptors[0]

    def follow() -> None:
        while int.from_bytes(fcntl.ioctl(up, termios.FIONREAD, bytes(4)), sys.byteorder) < 100:
            time.sleep(0.01)
        os.write(up, HEADER.pack(1 << 20, Code.LOG, 1) + b"[" * 1000)

    os.write(1, b"x\n" * 20_000)
    threading.Thread(target=follow, daemon=True).start()


@deed
def fill_the_pipe_and_return(_ctx: Ctx) -> str:
    """So that its result does not fit into the pipe any more."""
    for _ in range(100):
        print("x" * 8000)
    return "x" * 900_000


@deed
def say_at_length(_ctx: Ctx, size: int) -> None:
    print("x" * size)
