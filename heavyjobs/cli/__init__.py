"""The command line. Each command is a module of its own and imports what it needs when it runs, so that all feel immediate."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """The program `heavyjobs`."""
    import sys

    if any(argument.startswith("--database") for argument in sys.argv):
        from heavyjobs.cli.unseen import hide_passwords

        hide_passwords()
    from heavyjobs.cli.app import app

    app(prog_name="heavyjobs")
