"""Any history of verbs goes as the reference says: a state machine hunts for one that does not.

Coordinators with stale claims, stale tick numbers and sessions that are gone, clients that cancel, retry and change what they
like, repeated writes as after a lost acknowledgement, and a clock take turns on two stores of one database. Each step is done
on a `heavyjobs.testing.reference` too; answers, types of errors and all that can be read afterwards must be equal, and the
rules of `invariants` hold.

Where the protocol leaves a store free, so does the comparison: which of several jobs starts first that are of one priority
and depth and became ready in one transaction; which of several jobs is promoted first that fall due at one moment; how many
rows a claim looks at that is short both of room and of CPUs or memory; the order of `lost`, `cancels` and `others`. Times are
compared to `tokens.GRAIN_SECONDS`.

    HEAVYJOBS_EXAMPLES=2000 pytest -k any_history        # so many histories, others each time

Without the variable the same few are tried each time. A history that fails is made as short as can be, and printed as a
program: numbers are jobs and sessions, a pair is a claim.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from math import ceil
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from heavyjobs.store.protocol import Store
from heavyjobs.store.records import StoreOptions
from heavyjobs.testing.contract.harness import Harness, OpenStore
from heavyjobs.testing.contract.machine.rules import StoreMachine
from heavyjobs.testing.contract.machine.stage import Backstage

__all__ = ["Backstage", "Histories", "compare_with_reference"]

EXAMPLES_DEFAULT: Final = 45
ROUND: Final = 15
"""Histories at a time: Hypothesis begins with simple ones, with the more of them the more it is asked for."""

STEPS: Final = 40
PROCESSES: Final = 2


class Histories(Harness):
    @pytest.mark.timeout(900)  # making a history that fails as short as can be takes up to five minutes
    def test_any_history_of_verbs_goes_as_the_reference_says(self, open_store: OpenStore, backstage: Backstage) -> None:
        asked = int(os.environ.get("HEAVYJOBS_EXAMPLES", "0"))
        first = random.randrange(1 << 32) if asked else 1  # noqa: S311  # other histories, no secret

        compare_with_reference(open_store, backstage, examples=asked or EXAMPLES_DEFAULT, first=first)


def compare_with_reference(
    open_store: OpenStore, backstage: Backstage, *, examples: int, first: int = 1, shorten: bool = True
) -> None:
    """Run the machine on the database of this test, which is empty.

    Args:
        examples: how many histories are tried, in whole rounds.
        first: the seed of the first round; each has the next one.
        shorten: whether a history that fails is made as short as can be.

    Raises:
        AssertionError: the store is not as the reference; a history that shows it has been printed.
    """
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()
        stores = [runner.run(opened.enter_async_context(open_store(StoreOptions()))) for _ in range(PROCESSES)]
        try:
            runner.run(stores[0].migrate())
            for start in range(first, first + ceil(examples / ROUND)):
                machine = seed(start)(_machine(runner, stores, backstage))
                run_state_machine_as_test(machine, settings=_settings(shorten=shorten))
        finally:
            runner.run(opened.aclose())


def _settings(*, shorten: bool) -> settings:
    return settings(
        max_examples=ROUND,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if shorten else [Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


def _machine(runner: asyncio.Runner, stores: Sequence[Store], backstage: Backstage) -> type[StoreMachine]:
    """The machine on these stores, as Hypothesis takes one: a class without arguments."""

    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(runner, stores, backstage)

    return Machine
