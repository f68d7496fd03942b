"""Durations and sizes as types of options: `type=duration`."""

from __future__ import annotations

import click

from heavyjobs.units import seconds, size_bytes


def duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def size(text: str) -> int:
    try:
        return size_bytes(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
