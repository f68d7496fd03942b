"""Packages of the extras, asked for when a place needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from heavyjobs.storage.failures import Missing


def needed(package: str, *, extra: str) -> Any:
    """A module that an extra installs.

    Raises:
        Missing: it is not there; says how to get it.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError:
        would_do = f"pip install 'heavyjobs[{extra}]' on every host that runs such jobs"
        raise Missing(f"{extra}:", f"the package {package} is not installed here", would_do=would_do) from None
