"""Find out whether a database behind the `Store` protocol keeps every promise of `heavyjobs.store.protocol`.

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def open_store(self, tmp_path: Path) -> OpenStore:
            return lambda options: MyStore(f"mystore:///{tmp_path}/jobs.db", options)

        @pytest.fixture
        def connect(self, ...) -> Connect: ...

        @pytest.fixture
        def pretend_schema(self, ...) -> PretendSchema: ...

The three fixtures are all that an author provides; `heavyjobs.testing.contract.harness` says what each must do. `open_store`
names one database for each test, which is empty at its start. The suite migrates it, opens further stores on it where several
parties meet, and closes them all.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("heavyjobs.testing.contract")

from heavyjobs.testing.contract.cancelling import Cancelling  # noqa: E402 - after the rewriting of asserts is asked for
from heavyjobs.testing.contract.changing import Retrying, Updating  # noqa: E402
from heavyjobs.testing.contract.claiming import Claiming  # noqa: E402
from heavyjobs.testing.contract.ending import Ending  # noqa: E402
from heavyjobs.testing.contract.forfeiting import Forfeiting  # noqa: E402
from heavyjobs.testing.contract.harness import Connect, OpenStore, OwnConnection, PretendSchema  # noqa: E402
from heavyjobs.testing.contract.odd_values import OddValues  # noqa: E402
from heavyjobs.testing.contract.promoting import Promoting  # noqa: E402
from heavyjobs.testing.contract.reading import Reading  # noqa: E402
from heavyjobs.testing.contract.recording import Recording  # noqa: E402
from heavyjobs.testing.contract.schema import Schema  # noqa: E402
from heavyjobs.testing.contract.sessions import Sessions  # noqa: E402
from heavyjobs.testing.contract.submitting import Submitting, SubmittingWithin  # noqa: E402
from heavyjobs.testing.contract.waking import Waking  # noqa: E402

__all__ = ["Connect", "OpenStore", "OwnConnection", "PretendSchema", "StoreConformance"]


class StoreConformance(
    Schema,
    Submitting,
    SubmittingWithin,
    Promoting,
    Claiming,
    Recording,
    Ending,
    Forfeiting,
    Cancelling,
    Retrying,
    Updating,
    Sessions,
    Reading,
    Waking,
    OddValues,
):
    """Every promise, as tests; subclass it under a name that pytest collects."""
