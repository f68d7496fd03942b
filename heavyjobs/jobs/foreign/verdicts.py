"""What it means when libarchive, or the child that runs it, does not go on: typed, and in words for people."""

from __future__ import annotations

import errno
import signal
from typing import Final, NoReturn

from heavyjobs.errors import ProgramFailed
from heavyjobs.jobs.foreign import child
from heavyjobs.jobs.foreign.frames import Wrong
from heavyjobs.jobs.trouble import NotInstalled, Refused, Unreadable, shown, stop

AGAIN: Final = "fetch or make the archive again"
DECRYPT: Final = "decrypt the archive first"
ELSEWHERE: Final = "unpack it with the program that made it, and pack it again"

_BY_ITSELF: Final = {
    signal.SIGXCPU,
    signal.SIGSEGV,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSYS,
    signal.SIGTRAP,
}
"""How an archive ends what reads it; SIGKILL comes from elsewhere."""
_BEYOND: Final = ("unavailable", "not supported", "unsupported", "unknown codec", "cannot be converted", "can't be converted")
_INSTALL: Final = "install it (apt install libarchive13, dnf install libarchive, brew install libarchive), or use another host"


def no_library(what: str) -> NoReturn:
    stop(NotInstalled, f"7z and rar are read by libarchive, {what}", where="this host", would_do=_INSTALL)


def explain_wrong(said: Wrong, where: str) -> NoReturn:
    """Stop with what libarchive says."""
    text = shown(said.text) or "libarchive does not say why"
    if said.encrypted or "encrypt" in text.lower():
        stop(Unreadable, "is encrypted", where=where, would_do=DECRYPT)
    if said.errno == errno.ENOMEM or "memory" in text.lower():
        what = f"needs more memory than the {child.MEMORY_BYTES >> 20} MiB that its reader may have: {text}"
        stop(Refused, what, where=where, would_do="pack it again with a smaller dictionary")
    would_do = ELSEWHERE if any(word in text.lower() for word in _BEYOND) else AGAIN
    stop(Unreadable, f"cannot be read: {text}", where=where, would_do=would_do)


def explain_end(failed: ProgramFailed, where: str) -> NoReturn:
    """Stop with why the child has ended.

    Raises:
        ProgramFailed: it was ended from outside, or by a mistake of ours.
    """
    if failed.code == child.NO_LIBRARY:
        no_library(f"which is too old, or cannot be loaded: {shown(failed.tail[-1]) if failed.tail else 'it does not say why'}")
    if failed.code == child.NO_MEMORY:
        what = f"needs more memory than the {child.MEMORY_BYTES >> 20} MiB that its reader may have"
        stop(Refused, what, where=where, would_do="pack it again with a smaller dictionary")
    if failed.code is None and failed.signal in _BY_ITSELF:
        what = f"is damaged or hostile: what reads it is ended by {signal.Signals(failed.signal).name}"
        stop(Unreadable, what, where=where, would_do="do not trust this archive")
    raise failed
