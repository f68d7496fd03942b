"""Keys that can never leave their place, whoever wrote them: parameters, or a server's listing."""

from __future__ import annotations

from typing import Final

from heavyjobs.parts import UPLOAD

NAME_MAX_BYTES: Final = 255
KEY_MAX_BYTES: Final = 1024

HIDDEN: Final = UPLOAD
"""How the names of unfinished uploads begin, where they lie beside their keys; no listing shows them."""


def key_fault(key: str) -> str | None:
    """Why a key of a listing is not let through; None when it is fine."""
    parts = key.split("/")
    if "\0" in key or "\\" in key:
        return "the name holds NUL or a backslash"
    if any(part in {"", ".", ".."} for part in parts):
        return "the name has an empty part, . or .."
    if any(len(part.encode(errors="surrogateescape")) > NAME_MAX_BYTES for part in parts):
        return f"a part of the name is longer than {NAME_MAX_BYTES} bytes"
    if len(key.encode(errors="surrogateescape")) > KEY_MAX_BYTES:
        return f"the name is longer than {KEY_MAX_BYTES} bytes"
    return None


def joined(*parts: str) -> str:
    """Keys below each other; empty ones, and empty components, vanish."""
    return "/".join(name for part in parts for name in part.split("/") if name not in {"", "."})


def below(key: str, prefix: str) -> str:
    """What is left of a key below a prefix."""
    return key.removeprefix(f"{prefix}/") if prefix else key
