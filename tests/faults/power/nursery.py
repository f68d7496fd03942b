"""Processes that work on a store until they are killed, each made within milliseconds; what they ask and are told is printed.

    python -m tests.faults.power.nursery URL

A line on the standard input is the seed of the next one. Its pid is its first line, `gone` comes after its last.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from typing import Any
from unittest.mock import patch

import orjson

from heavyjobs.store.sqlite import connecting
from tests.faults.power.promises import Told
from tests.faults.power.work import LOG_MAX_BYTES, work


def _live(url: str, seed: int) -> None:
    _print({"pid": os.getpid()})
    told = Told(_print)
    with patch.object(connecting, "LOG_MAX_BYTES", LOG_MAX_BYTES):
        for life in count():
            asyncio.run(work(url, told, seed=f"{seed}, life {life}", steps=20))


def _print(says: dict[str, Any]) -> None:
    line = orjson.dumps(says) + b"\n"
    while line:
        line = line[os.write(1, line) :]


def main() -> None:
    for seed in iter(sys.stdin.readline, ""):
        if (child := os.fork()) == 0:
            try:
                _live(sys.argv[1], int(seed))
            finally:
                os._exit(70)
        os.waitpid(child, 0)
        os.write(1, b"\ngone\n")  # its last line may be half


if __name__ == "__main__":
    main()
