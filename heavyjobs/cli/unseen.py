"""Keep a password that was given on the command line from staying there, where all users of the machine can read it.

The program starts itself again, with the URL in a variable of its own, which only the same user can read. Until then it is
to be seen, for a tenth of a second; `--database env:NAME` and `file:PATH` never show it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Final

OPTION: Final = "--database"
VARIABLE: Final = "HEAVYJOBS_GIVEN_DATABASE"


def hide_passwords() -> None:
    """Start this process again without the passwords of its arguments, if there are any; else do nothing."""
    environ = dict(os.environ)
    given = sys.orig_argv[1:]
    arguments = without_passwords(given, environ)
    if arguments != given:
        os.execve(sys.executable, [sys.executable, *arguments], environ)  # noqa: S606 - this very program


def without_passwords(arguments: Sequence[str], environ: MutableMapping[str, str]) -> list[str]:
    """The arguments, with a database URL that may hold a password put into the environment instead."""
    return [*_replaced(arguments, environ)]


def _replaced(arguments: Sequence[str], environ: MutableMapping[str, str]) -> Iterator[str]:
    before = ""
    for argument in arguments:
        option, equals, url = argument.partition("=") if argument.startswith(f"{OPTION}=") else ("", "", argument)
        if (before == OPTION or option) and _has_password(url):
            environ[VARIABLE] = url
            yield f"{option}{equals}env:{VARIABLE}"
        else:
            yield argument
        before = argument


def _has_password(url: str) -> bool:
    from heavyjobs.settings.secrets import without_secrets

    return without_secrets(url) != url
