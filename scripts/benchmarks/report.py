"""Figures, held against their targets and printed as tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table

WIDTH_MIN: Final = 128
"""Where nothing says how wide the paper is."""

console: Final = Console(highlight=False)
if not console.is_terminal:
    console.width = max(console.width, WIDTH_MIN)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line; `good` is None where there is no target."""

    what: str
    shown: str
    target: str = ""
    good: bool | None = None
    remark: str = ""


@dataclass(slots=True)
class Report:
    """One part's figures on one store.

    Attributes:
        aloud: whether each is printed as soon as it is measured, and not only in the table.
    """

    title: str
    figures: list[Figure] = field(default_factory=list[Figure])
    aloud: bool = False

    def _add(self, figure: Figure) -> None:
        self.figures.append(figure)
        if self.aloud:
            against = f"  {figure.target}  {_mark(figure)}" if figure.target else ""
            console.print(f"[dim]measured[/]  {figure.what}: {figure.shown}{against}", soft_wrap=True)

    def note(self, what: str, shown: str) -> None:
        """A figure without a target."""
        self._add(Figure(what, shown))

    def at_most(self, what: str, value: float, most: float, unit: str = "", *, remark: str = "") -> None:
        unit = f" {unit}" if unit else ""
        self._add(Figure(what, f"{value:,.3g}{unit}", f"≤ {most:,.3g}{unit}", value <= most, remark))

    def at_least(self, what: str, value: float, least: float, unit: str = "") -> None:
        unit = f" {unit}" if unit else ""
        self._add(Figure(what, f"{value:,.3g}{unit}", f"≥ {least:,.3g}{unit}", value >= least))

    def true(self, what: str, shown: str, *, good: bool) -> None:
        """A figure that is as it must be, or not."""
        self._add(Figure(what, shown, "yes", good))

    def show(self) -> None:
        table = Table(
            title=self.title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0)
        )
        table.add_column("what", ratio=1)
        table.add_column("figure", justify="right")
        table.add_column("target", justify="right")
        table.add_column("")
        table.add_column("")
        for figure in self.figures:
            table.add_row(figure.what, figure.shown, figure.target, _mark(figure), figure.remark)
        console.print(table)
        console.print()


def summarize(reports: Sequence[Report]) -> None:
    """How many targets were reached, and which were not."""
    held = [(report.title, figure) for report in reports for figure in report.figures if figure.good is not None]
    short = [(title, figure) for title, figure in held if not figure.good]
    console.print(f"[bold]{len(held) - len(short)} of {len(held)} targets reached[/]")
    for title, figure in short:
        console.print(f"  [yellow]short[/]  {title}: {figure.what}: {figure.shown}, target {figure.target}", soft_wrap=True)


def spread(values: Sequence[float], unit: str) -> str:
    """How many there are, their median, 90th percentile and largest, for people."""
    middle, most = f"median {statistics.median(values):.1f}", f"most {max(values):.1f} {unit}"
    return f"of {len(values)}: {middle}, 90 % {percentile(values, 0.9):.1f}, {most}"


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _mark(figure: Figure) -> str:
    return "" if figure.good is None else "[green]ok[/]" if figure.good else "[yellow]short[/]"
