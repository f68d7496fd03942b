"""`heavyjobs run`"""

from __future__ import annotations

import click

from heavyjobs.cli.common import common, settings


@common
@click.command()
def command() -> None:
    """Run a coordinator: the jobs of this host.

    It takes jobs from the database and runs each in a process of its own.

    Ends at SIGTERM or Ctrl-C, when running jobs have ended or `coordinator.drain` has passed; at once at the second one.
    What was not done by then is handed back.
    """
    from heavyjobs.coordinator import serve

    serve(settings())
