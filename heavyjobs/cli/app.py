"""The program's frame: which commands there are, and how every error becomes one clear text and an exit code."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, cast

import click
from typing_extensions import override

from heavyjobs.cli import exits
from heavyjobs.cli.common import common
from heavyjobs.cli.exits import MEANINGS, Exit
from heavyjobs.cli.render import remark, safe_lines
from heavyjobs.errors import HeavyjobsError

COMMANDS: Final[Mapping[str, str]] = {
    "run": "run",
    "submit": "submit",
    "list": "listing",
    "show": "show",
    "logs": "logs",
    "wait": "wait",
    "cancel": "cancel",
    "retry": "retry",
    "update": "update",
    "coordinators": "coordinators",
    "drain": "drain",
    "sweep": "sweep",
    "migrate": "migrate",
    "check-config": "check_config",
    "doctor": "doctor",
}
"""Command to module of this package, in the order of the help; the module has it as `command`."""


class PipeClosed(Exception):
    """Nobody reads the output any more."""


class App(click.Group):
    """The command `heavyjobs`."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"heavyjobs.cli.{COMMANDS[cmd_name]}").command
        return command

    @override
    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"{args[0]}: no such command" + (f"; did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise PipeClosed from None  # click would answer it with code 1, which means something else here

    @override
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code.value), meaning) for code, meaning in MEANINGS.items()])
        super().format_epilog(ctx, formatter)

    @override
    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *others: Any, **extra: Any) -> NoReturn:
        extra["standalone_mode"] = False
        for stream in (sys.stdout, sys.stderr):
            if callable(reconfigure := getattr(stream, "reconfigure", None)):
                reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 is no reason to fail
        sys.exit(guarded(lambda: super(App, self).main(args, prog_name, *others, **extra)))


def guarded(run: Callable[[], object]) -> Exit | int:
    """Run, and answer for everything that it raises; the broad catch at the edge of the program."""
    try:
        code = run()
        sys.stdout.flush()
    except (PipeClosed, BrokenPipeError):
        # Without this the interpreter complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except click.ClickException as error:
        return _refused(error)
    except Exception as error:
        if known := _known(error):
            return max(_failed(each) for each in known)
        if os.environ.get("HEAVYJOBS_DEBUG"):
            raise
        _tell(f"{type(error).__qualname__}: {error}; this is a bug, HEAVYJOBS_DEBUG=1 shows where")
        return Exit.BUG
    return code if isinstance(code, int) else Exit.OK


def _refused(error: click.ClickException) -> Exit:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        remark(error.format_message())
        return Exit.USAGE
    message = error.format_message().rstrip(".")
    _tell(message[:1].lower() + message[1:])
    if isinstance(error, click.UsageError) and error.ctx is not None:
        remark(f"{error.ctx.command_path} --help shows what would do")
    return Exit.USAGE


def _failed(error: HeavyjobsError) -> Exit:
    _tell(str(error))
    return exits.of_error(error)


def _known(error: Exception) -> list[HeavyjobsError]:
    """The error, or all in a group of them, where they are of the kind that is fit for people; else none."""
    if isinstance(error, HeavyjobsError):
        return [error]
    if not isinstance(error, ExceptionGroup):
        return []
    parts = [_known(part) for part in cast("ExceptionGroup[Exception]", error).exceptions]
    return [each for part in parts for each in part] if all(parts) else []


def _tell(message: str) -> None:
    """Say an error, each of its lines marked with the program's name and safe for the terminal."""
    for line in safe_lines(message):
        remark(f"heavyjobs: {line}")


@common
@click.group(
    cls=App,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="An id may be given by its end, as far as it tells the job apart. Completion: "
    'eval "$(_HEAVYJOBS_COMPLETE=bash_source heavyjobs)", or zsh_source, fish_source.',
)
@click.version_option(package_name="heavyjobs", message="%(version)s")
def app() -> None:
    """Run heavy work that needs nothing but a database.

    `heavyjobs run` on every host, `heavyjobs submit` from anywhere.
    """
