"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil
import psycopg

from heavyjobs.testing.postgres import PostgresServer


def describe(folder: Path, server: PostgresServer | None) -> list[tuple[str, str]]:
    """Name and value, for people. The load tells whether the machine was busy with something else."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return [
        ("processor", f"{_processor()}, {len(psutil.Process().cpu_affinity() or [])} cores"),
        ("memory", f"{psutil.virtual_memory().total / 2**30:.1f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("files on", _file_system(folder)),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("SQLite", sqlite3.sqlite_version),
        ("PostgreSQL", _postgres(server) if server else "not measured"),
        ("heavyjobs", f"{version('heavyjobs')} {_commit()}".strip()),
        ("load before", load),
    ]


def _processor() -> str:
    with suppress(OSError, StopIteration), Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        return next(line.partition(": ")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    above = {str(folder), *map(str, folder.parents)}
    found = [part for part in psutil.disk_partitions(all=True) if part.mountpoint in above]
    return max(found, key=lambda part: len(part.mountpoint)).fstype if found else "unknown"


def _postgres(server: PostgresServer) -> str:
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return f"{row[0] if row else 'unknown'}, with fsync"


def _commit() -> str:
    with suppress(OSError, subprocess.CalledProcessError):
        argv = ["git", "describe", "--always", "--dirty"]
        here = Path(__file__).parent
        return subprocess.run(argv, cwd=here, check=True, capture_output=True, text=True).stdout.strip()
    return ""
