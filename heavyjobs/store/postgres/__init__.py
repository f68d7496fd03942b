"""The store in PostgreSQL, 13 or newer. Read `statements.sql` beside it; the modules only carry values in and out.

store ──▶ submitting, claiming, recording, changing, sessions, reading, migrating    a verb each way, on one connection
  │            └──▶ talking (statements, wake-ups sent), rows (a row becomes a record)
  ├──▶ connecting (the pool, time limits, repeating), errors (psycopg's become ours)
  └──▶ listening (wake-ups received), wakeups (their written form)
"""

from __future__ import annotations

from heavyjobs.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
