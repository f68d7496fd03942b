"""The soak, for a minute: real coordinators, jobs and faults on both stores, and a judge that finds nothing wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import psutil
import pytest

from tests.lifecycle.asking import until
from tests.lifecycle.hosts import ROOT, carrying, gone

pytestmark = pytest.mark.long

SOAK_SECONDS: Final = 500.0
"""A soak that is asked to last half a minute takes a little over one on two idle processors."""

TESTED_BY: Final = "HEAVYJOBS_SOAK_TESTED_BY"
"""The variable by which all processes of one soak are found; its hosts pass those with such names on to their jobs."""

NOTHING: Final = ("lost", "doubled", "overlapping", "orphans")


@contextmanager
def soaking(folder: Path, *arguments: str, module: str = "soaking") -> Generator[tuple[subprocess.Popen[bytes], str]]:
    """A soak of always the same plan in a process of its own, and the name that all which it starts carries."""
    name = uuid4().hex
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), TESTED_BY: name}
    with (folder / "said").open("wb") as said:
        soak = subprocess.Popen(
            [sys.executable, "-m", module, "--seed", "1", *arguments],
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield soak, name
    finally:
        if soak.poll() is None:
            _end(soak, name)


def _end(soak: subprocess.Popen[bytes], name: str) -> None:
    soak.send_signal(signal.SIGINT)
    try:
        soak.wait(60)
    except subprocess.TimeoutExpired:
        for process in carrying(TESTED_BY, name):
            with suppress(psutil.Error):
                process.kill()
        soak.wait()
        raise


@pytest.mark.timeout(SOAK_SECONDS + 100)
async def test_a_soak_of_both_stores_loses_doubles_overlaps_and_leaves_nothing(tmp_path: Path) -> None:
    with soaking(tmp_path, "--minutes", "0.5", "--jobs", "240", "--faults", "70", "--json", str(tmp_path / "figures.json")) as (
        soak,
        name,
    ):
        soak.wait(SOAK_SECONDS)

    said = (tmp_path / "said").read_text()
    assert soak.returncode == 0, said
    for figures in json.loads((tmp_path / "figures.json").read_text()):
        assert {what: figures[what] for what in NOTHING} == dict.fromkeys(NOTHING, 0), said
        assert figures["jobs"] >= 100
        assert figures["injected"] >= 10, "many miss their moment on a slow machine"
    await gone(carrying(TESTED_BY, name), within=30)
    assert "all right" in said


@pytest.mark.planted("soak: an accepted job is gone")
@pytest.mark.planted("soak: a job has ended twice")
@pytest.mark.planted("soak: a job has another's result")
@pytest.mark.planted("soak: a log is gone")
@pytest.mark.planted("soak: two copies of a job worked at once")
@pytest.mark.planted("soak: a process was left behind")
@pytest.mark.timeout(SOAK_SECONDS + 100)
def test_a_soak_that_was_tampered_with_is_red_in_each_of_its_figures(tmp_path: Path) -> None:
    given = ("--store", "sqlite", "--minutes", "0.1", "--jobs", "60", "--faults", "4", "--keep", str(tmp_path / "kept"))
    with soaking(tmp_path, *given, "--json", str(tmp_path / "figures.json"), module="soaking.spoiled") as (soak, _):
        soak.wait(SOAK_SECONDS)

    said = (tmp_path / "said").read_text()
    (figures,) = json.loads((tmp_path / "figures.json").read_text())
    assert soak.returncode == 1, said
    assert all(figures[what] > 0 for what in NOTHING), said
    assert {"accepted", "endings", "outcome", "lines", "overlap", "orphan"} <= figures["findings"].keys(), said


@pytest.mark.timeout(200)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_soak_that_is_interrupted_ends_all_that_it_has_started(tmp_path: Path, number: signal.Signals) -> None:
    with soaking(tmp_path, "--minutes", "5", "--store", "postgres") as (soak, name):
        await until(lambda: b" under way" in (tmp_path / "said").read_bytes(), within=90)
        started = carrying(TESTED_BY, name)

        soak.send_signal(number)

        await until(lambda: soak.poll() is not None, within=60)
        assert len(started) > 10
        await gone(started, within=10)
