"""The guardian: a tiny process beside the coordinator that ends all its workers' trees when the coordinator cannot.

What it guarantees
- when the coordinator is gone (killed, crashed), all trees are ended at once: the pipe to it reaches its end;
- when the coordinator is stopped, stuck or cut off from the database, all trees are ended as soon as its lease lapses;
- when it is killed together with the coordinator, what forks the workers ends all (`leaving`); when that is killed as well, the
  kernel ends the workers and their programs (`heavyjobs.lifeline`).

What it assumes
- it runs no user code and nobody kills it; the coordinator starts another when it is gone or reads nothing any more, and keeps
  a watch of its own.

Its language, one line each on standard input: `lease SECONDS`, `watch PID STARTED MARKER`, `forget PID`, `leave` (the
coordinator lives on, and so does what is its). The parent side is `Guardian`; the child side runs as
`python -m heavyjobs.slots.guardian`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Final

from heavyjobs.lifeline import lifeline
from heavyjobs.processes import COORDINATOR_MARK, started_at
from heavyjobs.slots.tree import Root, end, end_left_by

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_NEVER: Final = float("inf")

LEAVE_SECONDS: Final = 10.0
"""How long it may take to leave when it is let go; one that stands still is killed then."""


def boot_seconds() -> float:
    """Seconds since boot, time asleep included: the clock of leases, which no wall clock can move."""
    return time.clock_gettime(_CLOCK)


class Guardian:
    """The coordinator's side: start it, tell it what to watch, renew the lease."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._roots: dict[int, Root] = {}
        self._lease_until = _NEVER
        self._lifeline: tuple[int, int] | None = None

    def start(self) -> None:
        """Start it, or start another when it is gone, and tell it all that it should know."""
        self._let_go()
        _, ours = self._lifeline = self._lifeline or lifeline()
        self._process = subprocess.Popen(  # noqa: S603 - numbers of our own
            [sys.executable, "-m", "heavyjobs.slots.guardian", str(os.getpid()), repr(started_at(os.getpid()))],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(ours,),
            # Not taken for something that a dead coordinator has left: it may be at its work.
            env={name: value for name, value in os.environ.items() if name != COORDINATOR_MARK},
        )
        os.set_blocking(self._process.stdin.fileno(), False)  # type: ignore[union-attr]  # made with PIPE
        for root in self._roots.values():
            self._say(f"watch {root.pid} {root.started!r} {root.marker}")
        if self._lease_until != _NEVER:
            self._say(f"lease {max(0.0, self._lease_until - boot_seconds()):.3f}")

    @property
    def lifeline(self) -> int | None:
        """The reading end of what ends workers when this process and the guardian are both gone; None until it was started."""
        return None if self._lifeline is None else self._lifeline[0]

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def watch(self, root: Root) -> None:
        self._roots[root.pid] = root
        self._say(f"watch {root.pid} {root.started!r} {root.marker}")

    def forget(self, root: Root) -> None:
        """The worker is gone, its tree ended."""
        self._roots.pop(root.pid, None)
        self._say(f"forget {root.pid}")

    def renew(self, until: float) -> None:
        """The lease holds until then, on the clock of `boot_seconds`."""
        self._lease_until = until
        self._say(f"lease {max(0.0, until - boot_seconds()):.3f}")

    def stop(self) -> None:
        """Let it go, after the workers are gone."""
        self._let_go()
        if self._lifeline is not None:
            for descriptor in self._lifeline:
                os.close(descriptor)
            self._lifeline = None

    def _let_go(self) -> None:
        self._say("leave")
        if self._process is not None:
            self._process.stdin.close()  # type: ignore[union-attr]  # made with PIPE
            try:
                self._process.wait(LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _say(self, line: str) -> None:
        # A dead guardian is noticed and replaced by whoever looks at `alive`.
        if self._process is not None and self._process.stdin is not None:
            try:
                os.write(self._process.stdin.fileno(), os.fsencode(f"{line}\n"))
            except BrokenPipeError:
                pass
            except BlockingIOError:
                # Full, with thousands of such lines, though its reader does nothing else: it is stopped, and of no use.
                self._process.kill()


@dataclass(slots=True)
class _Charge:
    """What a guardian was told."""

    roots: dict[int, Root] = field(default_factory=dict[int, Root])
    lease_until: float = _NEVER
    let_go: bool = False


def guard(fd: int, coordinator: int, started: float) -> None:
    """The guardian's own life: read lines until the end of the pipe, then end all trees. A lapsed lease ends them earlier."""
    charge = _Charge()
    rest = b""
    while True:
        wait = None if charge.lease_until == _NEVER else max(0.0, charge.lease_until - boot_seconds())
        # poll() may sleep through a suspended machine's time, so it looks again at least every second.
        ready, _, _ = select.select([fd], [], [], None if wait is None else min(wait, 1.0))
        if ready:
            data = os.read(fd, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _obey(os.fsdecode(line).split(" "), charge)
        if boot_seconds() >= charge.lease_until:
            _end_all(charge.roots)
            charge.roots.clear()
            charge.lease_until = _NEVER
    _end_all(charge.roots)
    if not charge.let_go:
        # Also what nobody has told of: a worker that was just being started, a stopped process that forks them, scratch.
        end_left_by(coordinator, started)


def _obey(words: list[str], charge: _Charge) -> None:
    match words:
        case ["lease", seconds]:
            charge.lease_until = boot_seconds() + float(seconds)
        case ["watch", pid, started, marker]:
            charge.roots[int(pid)] = Root(int(pid), float(started), marker)
        case ["forget", pid]:
            charge.roots.pop(int(pid), None)
        case ["leave"]:
            charge.let_go = True
        case _:
            pass


def _end_all(roots: dict[int, Root]) -> None:
    if roots:
        end(*roots.values())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    guard(0, int(sys.argv[1]), float(sys.argv[2]))
