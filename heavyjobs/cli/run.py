"""`heavyjobs run`"""

from __future__ import annotations

import click

from heavyjobs.cli.common import common, settings


@common
@click.command()
def command() -> None:
    """Run a coordinator: take jobs from the database and run them on this host.

    Ends at SIGTERM or Ctrl-C, when running jobs have ended or `coordinator.drain` has passed; at once at the second one.
    What was not done by then is handed back.
    """
    from heavyjobs.coordinator import serve

    serve(settings())
