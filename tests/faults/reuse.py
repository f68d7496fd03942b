"""Run in a namespace of process numbers of its own: a guardian is let go when what it watched has given its number to another.

Prints whether the other lives on.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from heavyjobs.processes import started_at
from heavyjobs.slots.guardian import Guardian
from heavyjobs.slots.tree import Root


def main() -> None:
    guardian = Guardian()
    guardian.start()
    watched = subprocess.Popen(["sleep", "600"], start_new_session=True)
    root = Root(watched.pid, started_at(watched.pid), "none")
    guardian.watch(root)
    while time.clock_gettime(time.CLOCK_BOOTTIME) - root.started < 0.2:
        time.sleep(0.01)  # for two processes cannot have one number in so short a time
    watched.kill()
    watched.wait()
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(watched.pid - 1))
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)

    guardian.stop()

    print(f"the same number: {other.pid == watched.pid}, alive: {other.poll() is None}")  # noqa: T201
    other.kill()
    other.wait()


if __name__ == "__main__":
    main()
