"""A seed is a whole world: the same one has the same history, to the last step, in every process."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from heavyjobs.slots.process import WorkerProcess
from tests.simulation.faults import Fault
from tests.simulation.machines import Worker
from tests.simulation.plots import unheard_claims
from tests.simulation.scripts import Script
from tests.simulation.simulation import Mode, rehearse, simulate
from tests.simulation.world import told

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mode", Mode)
def test_a_seed_replays_exactly_in_another_process_too(mode: Mode) -> None:
    here = [*told(simulate(11, mode).trace)]

    again = [*told(simulate(11, mode).trace)]
    command = [sys.executable, "-m", "tests.simulation", "11", "--mode", mode]
    env = {**os.environ, "PYTHONHASHSEED": "12345"}
    there = subprocess.run(command, capture_output=True, cwd=ROOT, env=env, text=True, check=False, timeout=100)

    assert len(here) > 500
    assert digest(again) == digest(here)
    assert digest(there.stdout.splitlines()) == digest(here)


def digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_another_seed_is_another_world() -> None:
    assert [*told(simulate(1, Mode.SAFETY).trace)] != [*told(simulate(2, Mode.SAFETY).trace)]


def test_simulated_workers_have_the_face_of_real_ones() -> None:
    assert face(WorkerProcess) - {"start"} <= face(Worker)


def face(worker: type) -> set[str]:
    """All that others may ask of it: what its class has, and what each of them is given."""
    given = re.findall(r"\bself\.([a-z]\w*)", inspect.getsource(worker))
    return {name for name in vars(worker) if not name.startswith("_")} | set(given)


def test_a_lane_is_read_again_after_a_job_that_flooded_it_has_ended() -> None:
    flooding = [Script([["flood"]], lane=True) for _ in range(2)]
    others = [Script([["work", 0.5], ["log", 2], ["work", 1.0]], lane=True) for _ in range(2)]

    report = rehearse([*flooding, *others])

    assert not report.broken
    assert report.ended == {"succeeded": 4}


@pytest.mark.parametrize("seed", range(3))
def test_jobs_whose_claims_nobody_heard_of_run_once_each(seed: int) -> None:
    jobs = [Script([["work", seconds]], lane=True) for seconds in (0.5, 2.0, 4.0) * 4]

    report = rehearse(jobs, seed=seed, plot=unheard_claims)

    assert not report.broken
    assert report.ended == {"succeeded": 12}
    assert report.faults[Fault.LOST_ANSWER]


@pytest.mark.parametrize(
    "child",
    [Script([["block", 18.0]], lane=True), Script([], lane=True, end="hang", fails=9, deaf=True)],
    ids=["holds up the lane", "does not listen"],
)
def test_a_family_whose_child_brings_the_lane_down_again_and_again_comes_to_an_end(child: Script) -> None:
    parent = Script([["spawn", [child.parameters()]], ["await"]], lane=True)

    report = rehearse([parent, Script([["work", 1.0]], lane=True)])

    assert not report.broken
    assert report.ended["succeeded"] == 1, "the stranger beside them"
