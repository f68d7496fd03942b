"""Who we are: host, boot and process, so that another session on this host can tell whether we are still there."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil

from heavyjobs.model import Session, new_id
from heavyjobs.processes import started_at
from heavyjobs.store.records import SessionSeen


def new_session(name: str) -> Session:
    """A fresh session of this process."""
    return Session(
        id=new_id(),
        name=name,
        host=socket.gethostname(),
        boot_id=boot_id(),
        pid=os.getpid(),
        pid_started=started_at(os.getpid()),
        release=version("heavyjobs"),
    )


def boot_id() -> str:
    """This boot of this machine, and where pids are counted in it: containers have the first in common, not the second."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{uuid.getnode():x} {psutil.boot_time():.0f}"


def is_gone(other: SessionSeen, *, here: Session) -> bool:
    """Whether a session's process is known to be gone: it was of this host and boot, and no such process is there any more."""
    if (other.host, other.boot_id) != (here.host, here.boot_id):
        return False
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        status = psutil.Process(other.pid).status()
        return abs(started_at(other.pid) - other.pid_started) > 1 or status == psutil.STATUS_ZOMBIE
    return not _is_there(other.pid)


def _is_there(pid: int) -> bool:
    """Whether any process has that number: /proc may hide those of other users (hidepid, systemd's ProtectProc)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_stopped(other: SessionSeen, *, here: Session) -> bool:
    """Whether a session's process is known to stand still, so that it can end nothing: of this host and boot, and stopped."""
    if (other.host, other.boot_id) != (here.host, here.boot_id):
        return False
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return (
            abs(started_at(other.pid) - other.pid_started) <= 1 and psutil.Process(other.pid).status() == psutil.STATUS_STOPPED
        )
    return False
