"""The digest that is recorded for what a job wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

from heavyjobs.jobs.places import CHUNK_BYTES
from heavyjobs.jobs.progress import Meter


def sha256_of(path: Path, *, meter: Meter) -> str:
    """Read a file and give its SHA-256 in hex; what is read counts on the meter."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            digest.update(data)
            meter.add(len(data))
    return digest.hexdigest()
