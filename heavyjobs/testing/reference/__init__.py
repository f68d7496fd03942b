"""A store that says what a right store does: plain dictionaries, one verb after the other, a clock that the caller moves.

Nothing is kept, nothing waits, nothing is random: the same calls at the same times have the same answers in every process. It
is the model that stores are compared with (`heavyjobs.testing.contract.machine`) and the database of the coordinator's
simulation; it is no store to run jobs with.

    database = ReferenceDatabase(clock)
    async with ReferenceStore(database) as store, ReferenceStore(database) as other: ...
"""

from heavyjobs.testing.reference.database import ReferenceConnection, ReferenceDatabase
from heavyjobs.testing.reference.store import ReferenceStore

__all__ = ["ReferenceConnection", "ReferenceDatabase", "ReferenceStore"]
