"""URLs that fsspec opens: read here, so that none becomes a way around the places that this host keeps closed.

    ftp://USER:PASSWORD@host/films?private=allow
    webdav://films?base_url=https://dav.example/remote&auth=["USER","PASSWORD"]

The query says the options of that kind of place, as its package names them; lists, numbers and `true` are read as JSON.

Guarantees: nothing of this host is opened (`file:`, `local:`, git folders, archives), no address leads through another place
(`a::b`, caches, references), and a server in a private network takes the operator's word, `private=allow`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from heavyjobs.storage.addresses import judged
from heavyjobs.storage.failures import Missing, Unusable
from heavyjobs.storage.packages import needed
from heavyjobs.storage.protocol import STALL_SECONDS

OURS: Final = frozenset({"file", "s3", "sftp", "http", "https"})
_CLOSED: Final = frozenset(
    {
        *("local", "asynclocal", "git", "dask", "pyscript", "jlab", "jupyter"),
        *("zip", "tar", "libarchive", "data", "reference", "generic", "dir", "async_wrapper", "asyncwrapper"),
        *("cached", "blockcache", "filecache", "simplecache"),
        *("s3a", "ssh", "memory"),
    }
)
"""Kinds that open this host, or a process of it, lead through another place, or that there is one of ours for."""

_DEFAULTS: Final[Mapping[str, Mapping[str, object]]] = {
    "ftp": {"timeout": STALL_SECONDS},
    "webdav": {"timeout": STALL_SECONDS},
}


@dataclass(frozen=True, slots=True)
class Opened:
    """What a URL says.

    Attributes:
        kind: the class that speaks to such places. root: the folder there, as that class writes it.
    """

    scheme: str
    kind: Any
    root: str
    options: Mapping[str, Any] = field(repr=False)
    private: bool

    def connect(self) -> Any:
        """A file system of its own, which shares no connection.

        Raises:
            Unusable: it is in a private network.
        """
        self.check()
        options = {**_DEFAULTS.get(self.scheme, {}), **self.options, **self._watched()}
        return self.kind(**options, skip_instance_cache=True)

    def disconnect(self, fs: Any) -> None:
        """Close the connections of what `connect` gave; fsspec has no word for it, and some kinds leave it to chance."""
        with suppress(Exception):
            if self.scheme == "webdav":
                fs.client.http.close()
            elif self.scheme == "ftp":
                fs.ftp.close()

    def check(self) -> None:
        for host in _hosts(self.options):
            judged(host, private=self.private)

    def _watched(self) -> dict[str, Any]:
        """Redirects of a web server are followed by its package: have each address judged."""
        if self.scheme != "webdav":
            return {}

        def judge(request: Any) -> None:
            judged(request.url.host, private=self.private)

        return {"event_hooks": {"request": [judge]}}


def opened(url: str) -> Opened:
    """Read a URL whose scheme is none of ours. No server is asked.

    Raises:
        Unusable: says what would do. Missing: fsspec, or the package for that kind of place.
    """
    scheme = urlsplit(url).scheme
    if "::" in url:
        raise Unusable(scheme, "a URL may not lead through another one", would_do="name the place itself, without ::")
    if scheme in _CLOSED | OURS:
        raise Unusable(f"{scheme}:", "is not opened by fsspec", would_do="use file:, s3:, sftp: or https: for what is there")
    fsspec = needed("fsspec", extra="fsspec")
    kind = _kind(scheme)
    if issubclass(kind, fsspec.get_filesystem_class("file")):
        raise Unusable(f"{scheme}:", "opens this host's own files", would_do="use file: for what is there")
    bare, _, query = url.partition("?")
    said = {name: _value(text) for name, text in parse_qsl(query, keep_blank_values=True)}
    private = said.pop("private", None)
    if private not in {None, "allow"}:
        raise Unusable(f"{scheme}:", "private is allow, or left out", would_do="write private=allow")
    options = {**kind._get_kwargs_from_urls(bare), **said}  # noqa: SLF001 - what fsspec itself asks of a class
    return Opened(scheme, kind, kind._strip_protocol(bare).rstrip("/"), options, private is not None)  # noqa: SLF001


def _kind(scheme: str) -> Any:
    fsspec = needed("fsspec", extra="fsspec")
    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        would_do = f"{error}; install that on every host that runs such jobs"
        raise Missing(f"{scheme}:", "the package that fsspec needs is not installed here", would_do=would_do) from None
    except ValueError:
        known = "file:, s3:, sftp:, https:, or what fsspec knows, such as ftp: and webdav:"
        raise Unusable(scheme, "there is no such kind of place", would_do=f"use one of {known}") from None


def _value(text: str) -> object:
    """A list becomes a tuple, as packages have it of a name and a password."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


def _hosts(options: Mapping[str, Any]) -> Iterator[str]:
    """The hosts that options name: by themselves, or in a web address."""
    for name, value in options.items():
        if isinstance(value, str) and (name == "host" or value.startswith(("http://", "https://"))):
            yield (urlsplit(value).hostname or "") if "://" in value else value
