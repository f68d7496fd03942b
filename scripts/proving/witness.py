"""A pytest plugin: which kinds of fault and which planted bugs the tests have shown, and the figures that they recorded.

A test says `@pytest.mark.fault("area: what happens")` or `@pytest.mark.planted("…")`, and calls
`record_property("figure: …", number)` with a number that is summed over all tests. A name counts as shown when every test that
bears it has passed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

FIGURE: Final = "figure: "
MACHINES: Final = (
    "tests/simulation/",
    "tests/interleavings/",
    "tests/fuzz/",
    "tests/faults/",
    "tests/planted/",
    "tests/store/",
    "tests/testing/",
)
"""Folders whose tests may record figures; elsewhere only tests with a marker are run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--witness", type=Path, help="where to write what was shown, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--witness"):
        config.pluginmanager.register(Witness(path), "heavyjobs-witness")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--witness"):
        items[:] = [item for item in items if _bears_witness(item)]


def _bears_witness(item: pytest.Item) -> bool:
    marked = any(item.iter_markers("fault")) or any(item.iter_markers("planted"))
    return marked or item.nodeid.startswith(MACHINES)


class Witness:
    """Gathers from the reports, which also come from other processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed: dict[str, dict[str, bool]] = {"fault": {}, "planted": {}}
        self._figures: Counter[str] = Counter()
        self._tests = 0
        self._failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "call":
            for marker in ("fault", "planted"):
                report.user_properties += [(marker, mark.args[0]) for mark in item.iter_markers(marker)]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        self._tests += report.when == "call"
        if not report.passed:
            self._failed.append(report.nodeid)
        for name, value in report.user_properties:
            if name in self._passed:
                names = self._passed[name]
                names[str(value)] = names.get(str(value), True) and report.passed
            elif name.startswith(FIGURE):
                self._figures[name.removeprefix(FIGURE)] += int(str(value))

    def pytest_sessionfinish(self) -> None:
        shown = {"tests": self._tests, "failed": self._failed, **self._passed, "figures": self._figures}
        self._path.write_text(json.dumps(shown, indent=1))
