"""Which names of an archive cannot all be files of one folder: decided before anything is written under them."""

from __future__ import annotations

import os
import unicodedata
from typing import Final

from heavyjobs.jobs.trouble import shown

DEPTH_MAX: Final = 100
"""Folders in folders, each of which is an open descriptor while it is written to."""


class Names:
    """The names of an archive so far.

    Args:
        exact: whether names may differ only in case or Unicode form, which many file systems do not keep apart.
        max_bytes: of one name, with the folders in it.
    """

    def __init__(self, *, exact: bool, max_bytes: int) -> None:
        self._exact: Final = exact
        self._max_bytes: Final = max_bytes
        self._folders: Final[dict[str, str]] = {}
        self._others: Final[dict[str, str]] = {}
        self._entered = ""

    def __len__(self) -> int:
        """How many there are, with the folders that are only named on the way to others."""
        return len(self._folders) + len(self._others)

    def add(self, name: str, *, folder: bool) -> str | None:
        """Take a name in, and say what is wrong with it beside the earlier ones, or None.

        A folder may come as often as it likes.
        """
        if len(name) > self._max_bytes or (not name.isascii() and len(os.fsencode(name)) > self._max_bytes):
            return "has too long a name for the place of the folder"
        inside, _, _ = name.rpartition("/")
        if inside != self._entered:
            if fault := self._way_fault(inside):
                return fault
            self._entered = inside
        return self._folder_fault(name) if folder else self._other_fault(name)

    def _way_fault(self, inside: str) -> str | None:
        """Of all the folders on the way."""
        parts = inside.split("/")
        if len(parts) > DEPTH_MAX:
            return f"lies deeper than {DEPTH_MAX} folders"
        ways = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        return next(filter(None, map(self._folder_fault, ways)), None) if inside else None

    def _folder_fault(self, name: str) -> str | None:
        key = self._key(name)
        if key in self._others:
            return f"needs a folder where {shown(self._others[key])!r} is none"
        return self._twin_fault(name, self._folders.setdefault(key, name))

    def _other_fault(self, name: str) -> str | None:
        key = self._key(name)
        if key in self._folders:
            return f"is in the way of the folder {shown(self._folders[key])!r}"
        if name == self._others.get(key):
            return "comes twice"
        return self._twin_fault(name, self._others.setdefault(key, name))

    def _twin_fault(self, name: str, known: str) -> str | None:
        return None if name == known else f"differs from {shown(known)!r} only in case or Unicode form"

    def _key(self, name: str) -> str:
        if self._exact:
            return name
        if name.isascii():
            return name.lower()
        return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
