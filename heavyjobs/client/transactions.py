"""Tell whether a caller's own transaction is still open."""

from __future__ import annotations

import sqlite3
import sys


def still_open(connection: object) -> bool:
    """Whether the connection, of sqlite3 or psycopg, is in a transaction at this moment."""
    if isinstance(connection, sqlite3.Connection):
        try:
            return connection.in_transaction
        except sqlite3.ProgrammingError:  # closed
            return False
    if "psycopg" not in sys.modules:
        return False
    import psycopg  # costs nothing here: whoever has such a connection has imported it

    if not isinstance(connection, psycopg.Connection | psycopg.AsyncConnection) or connection.closed:
        return False
    return connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE
