"""Preloaded by the process that forks workers: it dies of that, or its first worker dies or stops, as a variable says."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

WHO: Final = "TESTED_WHO_DIES"
ONCE: Final = "TESTED_ONCE"


def suffer(number: signal.Signals) -> None:
    once = Path(os.environ[ONCE])
    if not once.exists():
        once.touch()
        os.kill(os.getpid(), number)


match os.environ.get(WHO):
    case "server":
        suffer(signal.SIGKILL)
    case "worker":
        os.register_at_fork(after_in_child=lambda: suffer(signal.SIGKILL))
    case "stopped":
        os.register_at_fork(after_in_child=lambda: suffer(signal.SIGSTOP))
    case _:
        pass
