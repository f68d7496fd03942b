"""One digest for many files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def sha256_of_all(digests: Mapping[str, bytes]) -> str:
    """The SHA-256, in hex, of what `sha256sum` prints for files: a line each, in the order of the names' parts."""
    lines = hashlib.sha256()
    for name in sorted(digests, key=lambda name: name.split("/")):
        lines.update(f"{digests[name].hex()}  {name}\n".encode(errors="surrogateescape"))
    return lines.hexdigest()
