"""From a location's URL to the place that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from heavyjobs.storage import fsspec, fsspec_url, http, s3, sftp
from heavyjobs.storage.failures import StorageFailed, Unusable
from heavyjobs.storage.local import LocalStorage
from heavyjobs.storage.protocol import Source, Storage

WRITABLE: Final = ("file", "s3", "sftp")


def open_source(url: str, *, plain: bool = False) -> Source:
    """The place of a URL, to read from; a path is one on this host. Nothing is asked of a server yet.

    Args:
        plain: the URL is a job's own, not the operator's: it may not open private networks.

    Raises:
        StorageFailed: there is no such kind of place, its package is missing, or the URL is wrong.
    """
    if urlsplit(url).scheme in {"http", "https"}:
        return http.HttpSource(http.site_of(url, plain=plain))
    return open_storage(url)


def open_storage(url: str) -> Storage:
    """The same, to write to as well."""
    match urlsplit(url).scheme:
        case "" | "file":
            return LocalStorage(Path(unquote(urlsplit(url).path) if url.startswith("file:") else url))
        case "s3":
            return s3.S3Storage(s3.address_of(url))
        case "sftp":
            return sftp.SftpStorage(sftp.login_of(url))
        case "http" | "https" as scheme:
            known = ", ".join(f"{name}:" for name in WRITABLE)
            raise Unusable(f"{scheme}:", "nothing can be written to such places", would_do=f"use one of {known}")
        case _:
            return fsspec.FsspecStorage(fsspec_url.opened(url))


def address_fault(url: str) -> str | None:
    """Why the URL of a location cannot be used on this host; None when it can. Asks no server."""
    try:
        open_source(url).close()
    except (StorageFailed, ValueError) as failed:
        return str(failed)
    return None
