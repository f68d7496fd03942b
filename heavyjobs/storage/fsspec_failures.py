"""What packages behind fsspec raise, in the words of the protocol: by the standard's classes, and by the status of a server."""

from __future__ import annotations

import ftplib
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from heavyjobs.masking import without_url_passwords
from heavyjobs.storage.failures import AlreadyThere, Denied, Missing, NotThere, StorageFailed, Unreachable, Unusable
from heavyjobs.values import visible

_CODE: Final = re.compile(r"(\d{3})\b")
_NEVER: Final = (ValueError, TypeError, NotImplementedError, AttributeError, NotADirectoryError, IsADirectoryError)


@contextmanager
def said(key: str) -> Generator[None]:
    """Turn whatever is raised; the packages are anybody's, and so are their errors."""
    try:
        yield
    except StorageFailed:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a package raises, it is that place's trouble
        raise failure_of(key, error) from None


def failure_of(key: str, error: Exception) -> StorageFailed:
    """The trouble that an error stands for; one that nothing is known of is taken for one that passes."""
    text = visible(without_url_passwords(f"the place says {type(error).__name__}: {error}"))[:400]
    if isinstance(error, FileNotFoundError):
        return NotThere(key, "is not there")
    if isinstance(error, FileExistsError):
        return AlreadyThere(key, "exists")
    if isinstance(error, PermissionError):
        return Denied(key, text)
    if isinstance(error, ImportError):
        return Missing(key, text, would_do="install it on every host that runs such jobs")
    if isinstance(error, ftplib.error_perm):
        return _of_ftp(key, error, text)
    if status := _status(error):
        return _of_status(key, status, text)
    never = isinstance(error, _NEVER) or type(error).__name__ == "InvalidURL"  # httpx's is an Exception, no more
    return Unusable(key, text) if never else Unreachable(key, text)


def _of_ftp(key: str, error: ftplib.error_perm, text: str) -> StorageFailed:
    found = _CODE.match(str(error))
    code = found[1] if found else ""
    if code in {"530", "532"}:
        return Denied(key, text)
    return Unusable(key, text, would_do="look whether it is there, may be written, and whether there is room")


def _status(error: Exception) -> int | None:
    """The HTTP status that an error carries, as the usual packages do."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            if isinstance(value := getattr(holder, name, None), int):
                return value
    return None


def _of_status(key: str, status: int, text: str) -> StorageFailed:
    if status in {404, 410}:
        return NotThere(key, "is not there")
    if status in {401, 403, 407}:
        return Denied(key, text)
    if status == 412:
        return AlreadyThere(key, "exists, or changed meanwhile")
    if status == 507:
        return Unusable(key, text, would_do="make room there")
    return Unreachable(key, text) if status >= 500 or status in {408, 425, 429} else Unusable(key, text)
