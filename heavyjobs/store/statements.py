"""Read SQL from the files it lives in: named statements, and numbered migrations.

-- name: promote
-- Make due jobs ready, longest due first.
UPDATE …;
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_MIGRATION: Final = re.compile(r"(\d{4})_\w+\.sql")


def statements(package: str) -> Mapping[str, str]:
    """The statements of `statements.sql` in `package`, by name, in the order of the file."""
    parts = _NAME.split(files(package).joinpath("statements.sql").read_text("utf-8"))
    return {name: sql.strip().removesuffix(";") for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def migrations(package: str) -> Mapping[int, str]:
    """The migrations in the folder `migrations` of `package`, by version from 1, in order."""
    found = {
        int(match[1]): path.read_text("utf-8")
        for path in files(package).joinpath("migrations").iterdir()
        if (match := _MIGRATION.fullmatch(path.name))
    }
    return dict(sorted(found.items()))
