"""Preloaded by the process that forks workers: it dies of that, or its first worker does at once, as a variable says."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

WHO: Final = "TESTED_WHO_DIES"
ONCE: Final = "TESTED_ONCE"


def die() -> None:
    once = Path(os.environ[ONCE])
    if not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)


match os.environ.get(WHO):
    case "server":
        die()
    case "worker":
        os.register_at_fork(after_in_child=die)
    case _:
        pass
