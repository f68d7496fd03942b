"""Importing heavyjobs is cheap, and every name behind the doors is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import heavyjobs


@pytest.mark.parametrize("name", heavyjobs.__all__)
def test_every_name_of_the_doors_is_there(name: str) -> None:
    assert getattr(heavyjobs, name) is not None
    assert name in dir(heavyjobs)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(heavyjobs, "Jbo")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import heavyjobs", ["pydantic", "psycopg", "heavyjobs.store"]),
        ("from heavyjobs import Job, Context", ["psycopg", "sqlite3", "heavyjobs.store", "heavyjobs.client"]),
        ("from heavyjobs import Client, SyncClient, Job", ["psycopg"]),
    ],
)
def test_an_import_loads_only_what_it_names(statement: str, absent: list[str]) -> None:
    script = f"{statement}\nimport sys\nprint([name for name in {absent} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"
