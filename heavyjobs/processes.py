"""One child process and what it started: to start it, see it end, and end all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from heavyjobs.errors import WorkError

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
KILL_SECONDS: Final = 2.0
"""How long to look for survivors of SIGKILL: only a process in D state outlasts it."""
MARK: Final = "HEAVYJOBS_PROGRAM"
WORKER_MARK: Final = "HEAVYJOBS_WORKER"
"""Stands in the environment of all that a worker starts; see `slots.tree`."""
COORDINATOR_MARK: Final = "HEAVYJOBS_STARTED_BY"
"""Stands in the environment of workers and all that they start: the pid and the start of their coordinator."""


def every_process() -> Iterator[psutil.Process]:
    """All processes of this machine, each looked at anew.

    `psutil.process_iter` remembers them by number from one call to the next: one that has got the number of a process which
    was there at the last call cannot be asked whose child it is, and would not be found.
    """
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
        except psutil.Error:
            continue  # it has gone meanwhile
        yield process


def started_at(pid: int) -> float:
    """When that process began, in seconds since boot: with its number it names one process for ever.

    Not psutil's `create_time`, which adds the time of the boot by the wall clock of now: once that was set, each seems another.

    Raises:
        psutil.NoSuchProcess
        psutil.AccessDenied: /proc hides it.
        OSError: nothing can be read now; whoever asks has no descriptor left, as a rule. It may be there all the same.
    """
    if sys.platform != "linux":
        return psutil.Process(pid).create_time()
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    except PermissionError:
        raise psutil.AccessDenied(pid) from None
    return int(stat.rpartition(b")")[2].split()[19]) / _TICKS_PER_SECOND


def name_of(pid: int, started: float) -> str:
    """That process's name for names of files: no other has it until this machine starts again.

    Containers may number their processes alike and share a folder, so the number of theirs is part of it.
    """
    return f"{_namespace()}-{pid}-{started * _TICKS_PER_SECOND:.0f}"


def is_gone(name: str) -> bool:
    """Whether the process with that name is known to be there no more; never of another container's."""
    namespace, pid, ticks = map(int, name.split("-"))
    try:
        return namespace == _namespace() and round(started_at(pid) * _TICKS_PER_SECOND) != ticks
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, OSError):
        return False


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino if sys.platform == "linux" else 0


def start(
    argv: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    if not argv or any("\0" in argument for argument in argv):
        raise WorkError(f"{list(argv)!r} is not a command; give the program and its arguments, without NUL")
    if cwd is not None and not cwd.is_dir():
        raise WorkError(f"{cwd}: no such folder to run {argv[0]} in; make it first")
    try:
        return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            argv,
            bufsize=0,
            stdin=stdin,
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


def environment(env: Mapping[str, str] | None, mark: str) -> dict[str, str]:
    """What the program gets: ours, or the given one with our marks, by which those that flee are found."""
    ours = {name: os.environ[name] for name in (WORKER_MARK, COORDINATOR_MARK) if name in os.environ}
    kept = os.environ if env is None else {**env, **ours}
    return {**kept, MARK: mark}


def exited(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended; where the system allows, without reaping it, so that its number is not given to others."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    if process.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not exited(process) and time.monotonic() < deadline:
        time.sleep(0.005)


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def kill(process: subprocess.Popen[bytes], known: Sequence[psutil.Process]) -> None:
    members = {*known, *family(process.pid)}
    signal_group(process, signal.SIGKILL)
    for member in members:
        with suppress(psutil.Error):
            member.kill()


def kill_marked(mark: str) -> None:
    """Kill whoever was started with this mark in its environment, until none is left."""
    deadline = time.monotonic() + KILL_SECONDS
    while (found := _marked(mark)) and time.monotonic() < deadline:
        for member in found:
            with suppress(psutil.Error):
                member.kill()
        psutil.wait_procs(found, timeout=0.05)


def _marked(mark: str) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in every_process():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found
