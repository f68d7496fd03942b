"""What systemd means to do when it stops the service that a process belongs to."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ASK_SECONDS: Final = 5.0

_SPANS: Final[Mapping[str, float]] = {
    "us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "month": 2_629_800, "y": 31_557_600,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unit:
    """A service. `stop_seconds` is TimeoutStopSec; None means for ever."""

    name: str
    kill_mode: str
    stop_seconds: float | None


def unit_of(pid: int) -> Unit | None:
    """The service that a process belongs to; None where there is none, or systemd does not tell."""
    try:
        path = Path(f"/proc/{pid}/cgroup").read_text("utf-8")
    except OSError:
        return None
    program = shutil.which("systemctl")
    if (found := service_in(path)) is None or program is None:
        return None
    name, of_user = found
    command = [program, *(["--user"] if of_user else []), "show", name, "--property=TimeoutStopUSec,KillMode"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=True)  # noqa: S603 - no shell
    except (OSError, subprocess.SubprocessError):
        return None
    return read_unit(name, told.stdout)


def service_in(cgroups: str) -> tuple[str, bool] | None:
    """The service named in /proc/PID/cgroup, and whether it is one of a user's own systemd."""
    for line in cgroups.splitlines():
        parts = line.rpartition(":")[2].split("/")
        services = [part for part in parts if part.endswith(".service")]
        if services and not services[-1].startswith("user@"):
            return services[-1], services[0].startswith("user@")
    return None


def read_unit(name: str, properties: str) -> Unit | None:
    """A unit from what `systemctl show` prints; None where it does not say what is asked."""
    told = dict(line.split("=", 1) for line in properties.splitlines() if "=" in line)
    if not (told.get("KillMode") and told.get("TimeoutStopUSec")):
        return None
    return Unit(name, told["KillMode"], _span(told["TimeoutStopUSec"]))


def _span(text: str) -> float | None:
    """`1min 30s` in seconds; None for `infinity`."""
    if text == "infinity":
        return None
    return sum(float(number) * _SPANS[unit] for number, unit in re.findall(r"([\d.]+)\s*(us|ms|min|month|s|h|d|w|y)", text))
