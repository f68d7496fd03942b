"""`python -m heavyjobs`, with the first line of every statement that SQLite runs added to the file `statements`.

The callback is SQLite's own, so nothing is missed: transactions and pragmas are statements too.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from heavyjobs.cli import main

_connect = sqlite3.connect


def _traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
    connection: sqlite3.Connection = _connect(*arguments, **options)
    connection.set_trace_callback(_note)
    return connection


def _note(statement: str) -> None:
    os.write(_file, f"{statement.strip().partition(chr(10))[0]}\n".encode())


if __name__ == "__main__":
    _file = os.open(Path("statements"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    sqlite3.connect = _traced  # type: ignore[assignment]  # the stubs know its many overloads
    main()
