"""What all commands share: --config, --database and --json, the settings, the job types."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import click

from heavyjobs.cli.render import remark, safe
from heavyjobs.settings import Settings, load

C = TypeVar("C", bound=click.Command)

DEFAULT_FILE: Final = Path("heavyjobs.toml")


@dataclass(slots=True)
class Common:
    """What was said before or after the command."""

    config: str | None = None
    database: str | None = None

    def file(self) -> Path | None:
        """The configuration file to read; None means the defaults."""
        if named := self.config or os.environ.get("HEAVYJOBS_CONFIG"):
            return Path(named)
        return DEFAULT_FILE if DEFAULT_FILE.exists() else None

    def settings(self) -> Settings:
        """The settings in force.

        Raises:
            ConfigurationError: every mistake found.
        """
        return load(self.file(), os.environ, database=self.database)


def common(command: C) -> C:
    """Give a command --config and --database, for `settings`."""
    command.params.extend(common_options())
    return command


def common_options() -> list[click.Option]:
    return [
        click.Option(
            ["--config"],
            metavar="FILE",
            type=click.Path(),
            callback=_keep,
            expose_value=False,
            help="Configuration; else $HEAVYJOBS_CONFIG, else ./heavyjobs.toml.",
        ),
        click.Option(
            ["--database"],
            metavar="URL",
            callback=_keep,
            expose_value=False,
            help="Another database than the configuration names; a URL, or env:NAME or file:PATH for one with a password.",
        ),
    ]


as_json: Final = click.option("--json", "json_", is_flag=True, help="Print JSON.")


def _keep(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        setattr(the_common(context), parameter.name or "", value)


def the_common(context: click.Context) -> Common:
    return context.find_root().ensure_object(Common)


def settings() -> Settings:
    """The settings in force for the running command."""
    return the_common(click.get_current_context()).settings()


def import_job_types(settings: Settings) -> list[str]:
    """Import the modules that define job types.

    Returns:
        What went wrong, one line each; the other modules are imported all the same.
    """
    for folder in reversed(settings.import_paths()):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    return [problem for module in settings.modules if (problem := _import(module))]


def _import(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything
        return f"modules: {module}: {type(error).__name__}: {safe(str(error))}"
    return None


def remark_all(problems: Sequence[str]) -> None:
    for problem in problems:
        remark(f"heavyjobs: {problem}")
