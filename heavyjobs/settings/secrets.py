"""Secrets: where they are read from, and how they are kept off the screen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from heavyjobs.masking import MASK

_PASSWORD: Final = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*:/{1,3}[^:@/?#]*):.*@", re.IGNORECASE | re.DOTALL)
_PARAMETER: Final = re.compile(r"(?P<before>[?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&#]*", re.IGNORECASE)


def without_secrets(url: str) -> str:
    """The URL with its password, and parameters that look like one, as `***`; other text as it is."""
    return _PARAMETER.sub(rf"\g<before>{MASK}", _PASSWORD.sub(rf"\g<before>:{MASK}@", url))


def resolve(text: str, environ: Mapping[str, str]) -> str:
    """What `env:NAME` or `file:PATH` stands for; any other text stands for itself.

    Raises:
        ValueError: the variable or file is not there; says what would do.
    """
    match text.partition(":"):
        case ("env", ":", name):
            if name not in environ:
                raise ValueError(f"the variable {name} is not set; set it, or write the value here")
            return environ[name]
        case ("file", ":", name) if not name.startswith("//"):
            return _first_text(Path(name))
        case _:
            return text


def refers(text: str) -> bool:
    """Whether the text names a secret instead of being the value."""
    return text.startswith("env:") or (text.startswith("file:") and not text.startswith("file://"))


def _first_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; make it readable, or write the value here") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; put the value there as plain text") from None
