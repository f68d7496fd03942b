"""What was done and what went wrong, one JSON object a line, written at once: a soak that is cut short has left it too."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Final

from soaking.witness import now

SHOWN_MAX: Final = 20
"""Of one kind of finding."""


class Diary:
    """Notes of one soak, and the findings among them."""

    def __init__(self, path: Path) -> None:
        self._file: Final = path.open("a", encoding="utf-8", buffering=1)
        self.findings: Final[list[tuple[str, str]]] = []

    def note(self, event: str, **facts: object) -> None:
        self._file.write(json.dumps({"at": round(now(), 3), "event": event, **facts}, default=str) + "\n")

    def wrong(self, check: str, text: str) -> None:
        """Something that must not be."""
        self.findings.append((check, text))
        self.note("finding", check=check, text=text)

    def counted(self) -> Counter[str]:
        """Findings by check."""
        return Counter(check for check, _ in self.findings)

    def close(self) -> None:
        self._file.close()
