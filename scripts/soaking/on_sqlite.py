"""What other processes do to a SQLite file."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Final

from soaking.databases import Database
from soaking.plan import Fault

_OTHER: Final = """
import sqlite3, sys, time

path, what, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])


def connected():
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0").close()
    return connection


one = connected()
if what == "read":
    one.execute("BEGIN")
    one.execute("SELECT count(*) FROM heavyjobs_jobs").fetchone()
else:
    one.execute("BEGIN IMMEDIATE")
    one.execute("UPDATE heavyjobs_jobs SET priority = priority WHERE 0").close()
if what == "checkpoint":
    # Under the write lock, as all must who may meet a library with the WAL-reset bug.
    connected().execute("PRAGMA wal_checkpoint(PASSIVE)").close()
print("now", flush=True)
time.sleep(seconds)
if what == "write":
    one.execute("UPDATE heavyjobs_jobs SET priority = priority + 1").close()
    print("written", flush=True)
    time.sleep(60)
one.execute("ROLLBACK")
"""


async def inflict(fault: Fault, database: Database) -> bool:
    """Do it, in a process of its own; it is over when this returns."""
    match fault.kind:
        case "checkpoint by another process":
            what = "checkpoint"
        case "old snapshot held":
            what = "read"
        case "writer killed in its transaction":
            what = "write"
        case _:
            what = "hold"
    arguments = ("-S", "-c", _OTHER, str(database.path), what, str(fault.seconds))
    other = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert other.stdout is not None  # noqa: S101 - for the type checker
    try:
        said = await other.stdout.readline()
        if what == "write":
            await other.stdout.readline()
            other.kill()
        await other.wait()
    finally:
        if other.returncode is None:
            other.kill()
            await other.wait()
    return said == b"now\n"
