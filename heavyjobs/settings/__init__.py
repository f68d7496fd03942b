"""The configuration: one TOML file, overridden by the environment, checked once at the door.

    heavyjobs.toml ──▶ sources: read, overlay HEAVYJOBS_…, resolve env: and file: ──▶ shape: validate ──▶ Settings
                                                                                       └─▶ mistakes: all of them, for people

Relative paths in it are taken from the folder that heavyjobs is started in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from heavyjobs.errors import ConfigurationError
from heavyjobs.settings.mistakes import explain
from heavyjobs.settings.secrets import without_secrets
from heavyjobs.settings.shape import (
    Bytes,
    CoordinatorSettings,
    DatabaseSettings,
    LocationSettings,
    LogSettings,
    QueueSettings,
    Seconds,
    Settings,
    WorkerSettings,
)
from heavyjobs.settings.sources import Found, gather

__all__ = [
    "Bytes",
    "CoordinatorSettings",
    "DatabaseSettings",
    "LocationSettings",
    "LogSettings",
    "QueueSettings",
    "Seconds",
    "Settings",
    "WorkerSettings",
    "load",
    "without_secrets",
]


def load(path: Path | None, environ: Mapping[str, str], *, database: str | None = None) -> Settings:
    """The settings of a file (None: the defaults), with what the environment overrides.

    Args:
        database: a URL, or what stands for one, from `--database`; it goes before both.

    Raises:
        ConfigurationError: every mistake found, one a line: file, variable or option, key, what is wrong and what would do.
    """
    try:
        found = gather(path, environ, database=database)
        settings = _valid(found)
    except RecursionError:
        raise ConfigurationError(
            f"{path or 'environment'}: values nested too deeply; none needs more than four levels"
        ) from None
    if found.problems:
        raise ConfigurationError("\n".join(found.problems))
    return settings


def _valid(found: Found) -> Settings:
    try:
        return Settings.model_validate(found.values)
    except ValidationError as error:
        raise ConfigurationError("\n".join([*found.problems, *explain(error, found)])) from None
