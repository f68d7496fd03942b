"""`heavyjobs run`, on a host of its own as far as others can tell: they must judge it by its silence, not by its process."""

from __future__ import annotations

import os
from typing import Final

from heavyjobs.cli import main
from heavyjobs.coordinator import host

HOST: Final = "HEAVYJOBS_SOAK_HOST"

_real_boot_id = host.boot_id


def _boot_id() -> str:
    return f"{_real_boot_id()} {os.environ[HOST]}"


if __name__ == "__main__":
    host.boot_id = _boot_id
    main()
