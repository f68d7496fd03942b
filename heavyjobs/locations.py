"""Named places that job parameters refer to as `name:key`, so that an operator decides what jobs can reach.

Guarantees: a key never leaves its location, neither by its spelling nor through a symlink that lies there when it is opened.
Assumes: nobody who may write to a location swaps folders for symlinks while a job works in it.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator

from heavyjobs.errors import PathRefused
from heavyjobs.masking import without_url_passwords

_LOCATION: Final = re.compile(r"([a-z][a-z0-9_-]+):(?!//)", re.ASCII)
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Locations:
    """The places that the configuration opens to jobs.

    Attributes:
        places: name to URL (`file:///srv/media`, `s3://bucket/prefix`) or absolute path of its folder; may hold secrets.
        plain: whether paths outside of any location are allowed.
    """

    places: Mapping[str, str] = field(repr=False)
    plain: bool

    def path(self, text: str | Path) -> Path:
        """The local path of `media:films/a.mkv`, or of a plain path where those are allowed.

        Nothing needs to exist there yet. `media:` is the location's folder itself.

        Raises:
            PathRefused: outside of what the configuration opens; says what would do.
        """
        text = str(text)
        if fault := _fault(text):
            raise PathRefused(fault)
        if found := _LOCATION.match(text):
            return self._inside(found[1], text[found.end() :])
        if not self.plain:
            raise PathRefused(f"{text}: plain paths are not allowed here; use {self._choice()}")
        return _local(text) if _URL.match(text) else Path(text).absolute()

    def elsewhere(self, text: str) -> Elsewhere | None:
        """Where a place lies that is not on this host's file systems; None for one that is, for `path` then.

        Raises:
            PathRefused: outside of what the configuration opens; says what would do.
        """
        if fault := _fault(text):
            raise PathRefused(fault)
        if found := _LOCATION.match(text):
            url = self._address(found[1], text)
            key = "/".join(part for part in text[found.end() :].split("/") if part not in {"", "."})
            return Elsewhere(url, key) if _is_remote(url) else None
        if not _is_remote(text):
            return None
        if not self.plain:
            raise PathRefused(f"{text}: plain URLs are not allowed here; use {self._choice()}")
        if urlsplit(text).scheme not in {"http", "https"}:
            raise PathRefused(f"{text}: such places need credentials; name a location of the configuration")
        return Elsewhere(text, "", plain=True)

    def _inside(self, name: str, key: str) -> Path:
        """`key` under the folder of location `name`, with only its last component unresolved."""
        shown = f"{name}:{key}"
        root = Path(os.path.realpath(self._root(name, shown)))
        path = root.joinpath(*(part for part in key.split("/") if part not in {"", "."}))
        if not Path(os.path.realpath(path)).is_relative_to(root):
            raise PathRefused(f"{shown}: a symlink on the way leads out of the location {name}; use a key that stays inside")
        return path if path == root else Path(os.path.realpath(path.parent)) / path.name

    def _root(self, name: str, shown: str) -> Path:
        return _local(self._address(name, shown))

    def _address(self, name: str, shown: str) -> str:
        if name not in self.places:
            near = difflib.get_close_matches(name, self.places, n=1)
            hint = f"did you mean {near[0]}?" if near else f"use {self._choice()}"
            also = f", or write ./{shown} for a file of that name" if self.plain else ""
            raise PathRefused(f"{shown}: there is no location {name}; {hint}{also}")
        return self.places[name]

    def _choice(self) -> str:
        names = [f"{name}:…" for name in sorted(self.places)]
        if self.plain:
            names.append("an absolute path")
        return " or ".join(names) or "a location, after naming one under [locations] in the configuration"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A place that `heavyjobs.storage` opens: the URL of its location, which may hold secrets, and a key that stays in it.

    Attributes:
        plain: the URL comes from a job's parameters, and is not the operator's word.
    """

    url: str = field(repr=False)
    key: str
    plain: bool = False


def _is_remote(url: str) -> bool:
    return bool(_URL.match(url)) and urlsplit(url).scheme != "file"


def _local(url: str) -> Path:
    """The path of a `file:` URL or an absolute path."""
    if not _URL.match(url):
        path = Path(url)
    elif (parts := urlsplit(url)).scheme == "file" and parts.netloc in {"", "localhost"}:
        path = Path(unquote(parts.path))
    else:
        shown = without_url_passwords(url)
        raise PathRefused(f"{shown}: only local locations are open to this job; copy it to one of file:///… by storage.copy")
    if not path.is_absolute():
        raise PathRefused(f"{url}: a location is an absolute path or file:///…")
    return path


def _fault(text: str) -> str | None:
    """What is wrong with the spelling of a place, wherever it leads."""
    if not text or text.isspace():
        return "the path is empty; give a path or location:key"
    if "\0" in text:
        return f"{text!r}: a path cannot contain NUL"
    if (shown := without_url_passwords(text)) != text:
        return f"{shown}: a password would be stored for all who may read the database; name a location of the configuration"
    found = _LOCATION.match(text)
    return _key_fault(text, text[found.end() :]) if found else None


def _key_fault(text: str, key: str) -> str | None:
    if key.startswith("/"):
        return f"{text}: a key is relative to its location; use {text[: -len(key)]}{key.lstrip('/')}"
    if "\\" in key:
        return f"{text}: a key cannot contain a backslash; separate folders by /"
    if ".." in key.split("/"):
        return f"{text}: a key cannot leave its location; use one without .."
    return None


def _settled(text: str) -> str:
    """A place that means the same in every process: a relative path becomes absolute here, everything else stays."""
    if fault := _fault(text):
        raise ValueError(fault)
    if _LOCATION.match(text) or _URL.match(text):
        return text
    return os.path.abspath(text)  # noqa: PTH100 - Path.absolute keeps the .. that people type


def _all_settled(places: str | list[str]) -> str | list[str]:
    if not places:
        raise ValueError("there has to be one; give a path or location:key")
    return _settled(places) if isinstance(places, str) else [_settled(place) for place in places]


Place = Annotated[str, AfterValidator(_settled)]
"""A job parameter that names a file or folder: `media:films/a.mkv`, or a path, which is made absolute at the submitter."""

Places = Annotated[str | list[str], AfterValidator(_all_settled)]
"""The same for one or several."""
