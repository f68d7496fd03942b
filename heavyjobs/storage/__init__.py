"""Places that hold bytes under keys, all spoken to in one way: `protocol.py` says how, a module per kind of place does it."""

from heavyjobs.storage.failures import (
    AlreadyThere,
    Broken,
    Changed,
    Denied,
    Missing,
    NotThere,
    StorageFailed,
    Unreachable,
    Unusable,
)
from heavyjobs.storage.opening import address_fault, open_source, open_storage
from heavyjobs.storage.protocol import ANY, NEW, Condition, Found, Notes, Part, Source, Storage

__all__ = [
    "ANY",
    "NEW",
    "AlreadyThere",
    "Broken",
    "Changed",
    "Condition",
    "Denied",
    "Found",
    "Missing",
    "NotThere",
    "Notes",
    "Part",
    "Source",
    "Storage",
    "StorageFailed",
    "Unreachable",
    "Unusable",
    "address_fault",
    "open_source",
    "open_storage",
]
