"""What tests of outputs look at: everything in a folder, by name, sort and content."""

from __future__ import annotations

import hashlib
from pathlib import Path


def listing(folder: Path) -> dict[str, str]:
    """Every path under a folder, hidden ones too, with what it is; equal listings are equal folders."""
    return {str(path.relative_to(folder)): _what(path) for path in sorted(folder.rglob("*"))}


def _what(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return "folder" if path.is_dir() else "other"
