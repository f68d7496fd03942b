"""`heavyjobs submit`: a group whose commands are the kinds of jobs, with options made from their fields."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

import click
from typing_extensions import override

from heavyjobs.cli.common import DEFAULT_FILE, common, common_options, import_job_types, remark_all, the_common
from heavyjobs.cli.durations import duration, size
from heavyjobs.cli.fields import FieldOption, field_options, values
from heavyjobs.cli.submitting import submit
from heavyjobs.cli.tables import is_table, table_lines
from heavyjobs.errors import InvalidParameters, UnknownKind
from heavyjobs.job import AnyJob, JobConfig, job_type, kinds

OVERRIDES: Final = ("queue", "priority", "attempts", "timeout", "memory", "cpus")


class Kinds(click.Group):
    """The kinds of jobs that the configured modules define."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Which kinds there are depends on the configuration, which may be named after the kind.
        if (file := _named_file(args)) is not None:
            the_common(ctx).config = file
        return super().parse_args(ctx, args)

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        remark_all(import_job_types(the_common(ctx).settings()))
        return sorted(kinds())

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in kinds():
            remark_all(import_job_types(the_common(ctx).settings()))
        return KindCommand(_known(cmd_name, ctx))

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(kind, summary(kinds()[kind])) for kind in self.list_commands(ctx)]
        with formatter.section("Kinds"):
            formatter.write_dl(rows or [("none", "list the modules that define job types under modules in heavyjobs.toml")])
        with formatter.section("Options of every kind"):
            formatter.write_dl(_help_rows(own_options(), ctx))


class KindCommand(click.Command):
    """`heavyjobs submit KIND`."""

    def __init__(self, job: type[AnyJob]) -> None:
        own = [*own_options(), *common_options()]
        taken = {"--help", *(name for option in own for name in option.opts)}
        self.fields: Final = field_options(job, taken=taken)
        super().__init__(
            job.kind,
            params=[*(field.option for field in self.fields), *own],
            help=inspect.getdoc(job) if job.__doc__ else None,
            callback=partial(_submit, job, self.fields),
        )

    @override
    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(explanation(self.help or "", width=formatter.width - formatter.current_indent))

    @override
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        fields = [field.option for field in self.fields]
        rest = [parameter for parameter in self.get_params(ctx) if parameter not in fields]
        for title, options in (("Parameters", fields), ("Options", rest)):
            if rows := _help_rows(options, ctx):
                with formatter.section(title):
                    formatter.write_dl(rows)


@common
@click.group(cls=Kinds, subcommand_metavar="KIND [PARAMETERS]...")
def command() -> None:
    """Submit a job.

    `heavyjobs submit KIND --help` shows the parameters of a kind, which are options too.
    """


def summary(job: type[AnyJob]) -> str:
    """The first line of a job type's docstring."""
    return (inspect.getdoc(job) or "").partition("\n")[0] if job.__doc__ else ""


def explanation(text: str, *, width: int) -> str:
    """A docstring for click, which keeps lines only where it is told to: those of lists, and of tables made to fit."""
    return "\n\n".join(_paragraph(paragraph, width) for paragraph in text.split("\n\n"))


def _paragraph(text: str, width: int) -> str:
    if is_table(text):
        text = "\n".join(table_lines(text, width=width))
    elif not re.search(r"^([-*] |\s)", text, re.MULTILINE):
        return text
    return f"\b\n{text}"


def _help_rows(options: Sequence[click.Parameter], ctx: click.Context) -> list[tuple[str, str]]:
    return [row for option in options if (row := option.get_help_record(ctx))]


def _known(kind: str, ctx: click.Context) -> type[AnyJob]:
    try:
        return job_type(kind)
    except UnknownKind as error:
        file = the_common(ctx).file() or DEFAULT_FILE
        raise UnknownKind(f"{error}\none of your own is known once its module is listed under modules in {file}") from None


def _named_file(args: Sequence[str]) -> str | None:
    for number, argument in enumerate(args):
        if argument == "--config" and number + 1 < len(args):
            return args[number + 1]
        if argument.startswith("--config="):
            return argument.partition("=")[2]
    return None


def own_options() -> list[click.Option]:
    """What can be said of a job of any kind, beside its parameters."""
    return [
        click.Option(
            ["--parameters"], metavar="JSON", help="All parameters as a JSON object, - for stdin; options come on top."
        ),
        click.Option(["--unique"], metavar="KEY", help="While a job of this kind with this key lives, submit nothing."),
        click.Option(["--delay"], type=duration, help="Start no sooner than this from now."),
        click.Option(["--queue"], metavar="NAME", help="Another queue than the kind's own."),
        click.Option(["--priority"], type=int, help="Higher starts first."),
        click.Option(["--attempts"], type=int, help="Tries in all."),
        click.Option(["--timeout"], type=duration, help="Of one try."),
        click.Option(["--memory"], type=size, help="Of its whole process tree."),
        click.Option(["--cpus"], type=float, help="Processors it will use."),
        click.Option(["--wait"], is_flag=True, help="Wait until the job has ended; the exit code tells how."),
        click.Option(["-f", "--follow"], is_flag=True, help="The same, and show its log as logs -f does."),
        click.Option(["--json", "json_"], is_flag=True, help="Print JSON."),
    ]


def _submit(job: type[AnyJob], fields: Sequence[FieldOption], **given: Any) -> int:
    parameters = {**_whole(given["parameters"]), **values(fields, given)}
    checked = _parse(job, fields, parameters)
    return submit(
        checked,
        config=_config(checked, given),
        unique=given["unique"],
        delay=given["delay"],
        wait=given["wait"],
        follow=given["follow"],
        json_=given["json_"],
    )


def _whole(text: str | None) -> dict[str, Any]:
    """The object given with --parameters."""
    if text is None:
        return {}
    import json

    try:
        value = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--parameters: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError('--parameters: not a JSON object; write it like {"source": "photos"}')
    return cast("dict[str, Any]", value)


def _parse(job: type[AnyJob], fields: Sequence[FieldOption], parameters: dict[str, Any]) -> AnyJob:
    """The job, checked; a problem of a field is told under the name of its option."""
    import json

    names = {field.key: field.option.opts[0] for field in fields}
    try:
        return job.parse(job.version, json.dumps(parameters))
    except InvalidParameters as error:
        told = [f"{job.kind}: {_named(names, place)}: {reason}" for place, reason in error.problems]
        raise click.UsageError("\n".join(told)) from None


def _named(names: dict[str, str], place: str) -> str:
    first, dot, rest = place.partition(".")
    return f"{names[first]}{dot}{rest}" if first in names else place


def _config(job: AnyJob, given: dict[str, Any]) -> JobConfig | None:
    """The job's own wishes with what was overridden; None when nothing was."""
    over = {name: given[name] for name in OVERRIDES if given[name] is not None}
    return replace(job.configure(), **over) if over else None
