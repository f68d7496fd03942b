"""`heavyjobs doctor`"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from heavyjobs.cli import checkup
from heavyjobs.cli.check_config import to_be_made
from heavyjobs.cli.common import as_json, common, settings, the_common
from heavyjobs.cli.exits import Exit
from heavyjobs.cli.render import Colour, answer, as_dict, columns, paint, remark, safe, to_json
from heavyjobs.cli.session import expect_database
from heavyjobs.errors import HeavyjobsError, SchemaMismatch
from heavyjobs.settings import Settings
from heavyjobs.store import Store, open_store, options_of
from heavyjobs.store.histories import Report, examine_store
from heavyjobs.store.records import Checked, Fit

MARKS: Final[Mapping[Fit, tuple[str, Colour]]] = {
    Fit.FINE: ("✓", "green"),
    Fit.REMARK: ("!", "yellow"),
    Fit.WRONG: ("✗", "red"),
}


@common
@click.command()
@click.option(
    "--history",
    is_flag=True,
    help="Read the whole database too, and check that it is undamaged, and that nothing was lost or done twice.",
)
@as_json
@click.pass_context
def command(context: click.Context, *, history: bool, json_: bool) -> Exit:
    """Examine this machine, the configuration and the database.

    One line for each thing looked at: ✓ fine, ! worth a thought, ✗ a promise that does not hold, with what would do. Reads,
    changes nothing. Exits with 6 when there is a ✗.
    """
    in_force = settings()
    if history:
        expect_database(in_force.database.url)
    checks = [*checkup.configuration(in_force, the_common(context).file()), *checkup.machine(in_force)]
    of_database, report = asyncio.run(_database(in_force, history=history))
    checks += of_database
    if json_:
        answer(to_json(_document(checks, report)))
    else:
        _print(checks, report)
    wrong = any(check.fit is Fit.WRONG for check in checks) or (report is not None and report.found > 0)
    return Exit.UNSOUND if wrong else Exit.OK


async def _database(settings: Settings, *, history: bool) -> tuple[Sequence[Checked], Report | None]:
    if (path := to_be_made(settings.database.url)) is not None:
        return [Checked("database", Fit.REMARK, f"there is no {path} yet; heavyjobs run or submit makes it")], None
    try:
        async with open_store(settings.database.url, options_of(settings.database)) as store:
            checks = [Checked("database", Fit.FINE, f"{store.url} can be reached"), *await store.health(whole=history)]
            schema = await _schema(store)
            checks.append(schema)
            if schema.fit is Fit.WRONG:
                return checks, None
            live = await store.coordinators()
            checks += checkup.coordinators(live, now=datetime.now(UTC))
            checks += checkup.service(live, settings)
            return checks, await examine_store(store) if history else None
    except HeavyjobsError as error:
        if history:
            raise
        return [Checked("database", Fit.WRONG, str(error))], None


async def _schema(store: Store) -> Checked:
    try:
        await store.check_schema()
    except SchemaMismatch as error:
        return Checked("schema", Fit.WRONG, str(error))
    return Checked("schema", Fit.FINE, "fits this release")


# -- showing


def _print(checks: Sequence[Checked], report: Report | None) -> None:
    for line in columns([[paint(*MARKS[check.fit]), check.what, safe(check.text)] for check in checks]):
        answer(line)
    if report is not None:
        for finding in report.findings:
            answer(f"{paint(*MARKS[Fit.WRONG])} {safe(str(finding))}")
        if report.found > len(report.findings):
            remark(f"{report.found - len(report.findings):,} more findings are not shown")
        answer(f"{paint(*MARKS[Fit.WRONG if report.found else Fit.FINE])} {summary(report)}")


def summary(report: Report) -> str:
    """How much was read, and what came of it."""
    read = f"{_count(report.jobs, 'job')}, {_count(report.invocations, 'invocation')}, {_count(report.lines, 'line')}"
    return f"{read}: {_count(report.found, 'finding') if report.found else 'nothing lost, nothing twice'}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _document(checks: Sequence[Checked], report: Report | None) -> Mapping[str, Any]:
    document: dict[str, Any] = {"checks": [as_dict(check) for check in checks]}
    if report is not None:
        findings = [as_dict(finding) for finding in report.findings]
        document["history"] = {
            "jobs": report.jobs,
            "invocations": report.invocations,
            "lines": report.lines,
            "found": report.found,
            "findings": findings,
        }
    return document
