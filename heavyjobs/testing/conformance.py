"""Find out whether a database behind the `Store` protocol keeps every promise of `heavyjobs.store.protocol`.

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def open_store(self, tmp_path: Path) -> OpenStore:
            return lambda options: MyStore(f"mystore:///{tmp_path}/jobs.db", options)

        @pytest.fixture
        def connect(self, ...) -> Connect: ...

        @pytest.fixture
        def pretend_schema(self, ...) -> PretendSchema: ...

        @pytest.fixture
        def backstage(self, ...) -> Backstage: ...

The four fixtures are all that an author provides; `heavyjobs.testing.contract.harness` says what the first three must do, and
`heavyjobs.testing.contract.machine`, which compares any history of verbs with a reference, the fourth. `open_store` names one
database for each test, which is empty at its start. The suite migrates it, opens further stores on it where several parties
meet, and closes them all. What it needs comes with `heavyjobs[testing]`.
"""

from __future__ import annotations

from heavyjobs.testing.contract.cancelling import Cancelling
from heavyjobs.testing.contract.cancelling_children import CancellingChildren
from heavyjobs.testing.contract.changing import Retrying, Updating
from heavyjobs.testing.contract.claiming import Claiming
from heavyjobs.testing.contract.ending import Ending
from heavyjobs.testing.contract.forfeiting import Forfeiting
from heavyjobs.testing.contract.harness import Connect, OpenStore, OwnConnection, PretendSchema
from heavyjobs.testing.contract.machine import Backstage, Histories
from heavyjobs.testing.contract.odd_values import OddValues
from heavyjobs.testing.contract.promoting import Promoting
from heavyjobs.testing.contract.reading import Reading
from heavyjobs.testing.contract.recording import Recording
from heavyjobs.testing.contract.schema import Schema
from heavyjobs.testing.contract.sessions import Sessions
from heavyjobs.testing.contract.spawning import Spawning
from heavyjobs.testing.contract.submitting import Submitting, SubmittingWithin
from heavyjobs.testing.contract.waking import Waking

__all__ = ["Backstage", "Connect", "OpenStore", "OwnConnection", "PretendSchema", "StoreConformance"]


class StoreConformance(
    Schema,
    Submitting,
    SubmittingWithin,
    Spawning,
    Promoting,
    Claiming,
    Recording,
    Ending,
    Forfeiting,
    Cancelling,
    CancellingChildren,
    Retrying,
    Updating,
    Sessions,
    Reading,
    Waking,
    OddValues,
    Histories,
):
    """Every promise, as tests; subclass it under a name that pytest collects."""
