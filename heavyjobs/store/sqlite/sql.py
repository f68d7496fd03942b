"""The statements of this dialect, read once."""

from __future__ import annotations

from typing import Final

from heavyjobs.store.statements import statements

PACKAGE: Final = "heavyjobs.store.sqlite"
SQL: Final = statements(PACKAGE)
