"""The process that workers are forked from, when jobs harm it: multiprocessing keeps it, and takes it for safe.

What it guarantees
- one that cannot be reached any more is replaced at the next start; its workers go on, and their deaths are told as before;
- it leaves when the last of its workers is buried;
- one that was stopped goes on as soon as anyone asks (`go_on`): only it hears of the deaths of its workers.

It lives as long as anyone holds a copy of the writing end of its alive pipe. A worker holds none (it forgets what it inherits),
so its coordinator holds one for each.
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress
from multiprocessing import forkserver
from typing import Any, Final

import psutil

_server: Final[Any] = forkserver._forkserver  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - it has no other way in

_MOMENT_SECONDS: Final = 0.2

_retired: Final[set[int]] = set()
"""Pids of those that were replaced, and have not left."""


def hold() -> int:
    """A descriptor that keeps the present one alive until it is closed; only while no other worker is being started.

    Raises:
        ProcessLookupError: there is none.
    """
    with _server._lock:  # noqa: SLF001
        if _server._forkserver_alive_fd is None:  # noqa: SLF001
            raise ProcessLookupError("the process that forks workers is gone")
        return os.dup(_server._forkserver_alive_fd)  # noqa: SLF001


def has_left(held: int) -> bool:
    """Whether the one that `hold` was called for is gone, or goes within a moment; for who has reason to think so.

    A process that is killed closes its descriptors, by which its workers seem dead, before the system calls it dead itself.
    """
    reader = select.poll()
    reader.register(held, 0)
    return bool(reader.poll(_MOMENT_SECONDS * 1000))


def retire() -> None:
    """Have the next start of a worker start another one; this one leaves when nobody holds it."""
    with _server._lock:  # noqa: SLF001
        pid, alive = _server._forkserver_pid, _server._forkserver_alive_fd  # noqa: SLF001
        _server._forkserver_pid = _server._forkserver_alive_fd = _server._forkserver_address = None  # noqa: SLF001
    if pid is not None:
        _retired.add(pid)
        os.close(alive)
        threading.Thread(target=_reap, args=(pid,), name="heavyjobs-reaper", daemon=True).start()


def go_on() -> list[int]:
    """Continue those that were stopped, retired ones too; their pids. Quick, and for any thread."""
    return [pid for pid in (_server._forkserver_pid, *_retired) if pid is not None and _continued(pid)]  # noqa: SLF001


def _continued(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        server = psutil.Process(pid)
        if server.status() == psutil.STATUS_STOPPED and server.ppid() == os.getpid():
            server.resume()
            return True
    return False


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    _retired.discard(pid)
