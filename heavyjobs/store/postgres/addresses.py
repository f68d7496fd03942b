"""A database's URL: checked, completed with what keeps a dead network from being waited for, and shown without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from heavyjobs.errors import ConfigurationError

KEEPALIVE_SECONDS: Final = 10

_UNQUOTED: Final = re.compile(r"\w+://(?:[^/]*@[^/]*@|[^?]*/[^?]*@)", re.DOTALL)
"""A URL that says something else than was meant: what libpq would take for a host or a database may be half a password."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    Attributes:
        conninfo: for psycopg, with secrets.
        shown: for people, without.
        database: its name, if the URL says one.
    """

    conninfo: str
    shown: str


def address(url: str, *, timeout_seconds: float) -> Address:
    """Read a URL. What it says goes before our own parameters, and after our own name: ours must be told from others' sessions.

    Raises:
        ConfigurationError: it is no PostgreSQL URL. The password is not repeated.
    """
    given = _parameters(url)
    wait = max(2, round(timeout_seconds))
    ours: dict[str, str | int | None] = {
        "connect_timeout": wait,
        "keepalives_idle": KEEPALIVE_SECONDS,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": wait * 1000,
    }
    missing = {name: value for name, value in ours.items() if name not in given}
    name = f"heavyjobs {given.get('application_name') or os.environ.get('PGAPPNAME', '')}".strip()
    return Address(make_conninfo(url, **missing, application_name=name), _shown(given))


def _parameters(url: str) -> Mapping[str, str | int | None]:
    if _UNQUOTED.match(url):
        raise _refused("an @ or / in its user, password or database name is not percent-encoded")
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        secret = "@" in url or "password" in url
        raise _refused("not a URL of PostgreSQL" if secret else str(error).strip()) from None
    if wrong := [port for port in str(given.get("port", "")).split(",") if port and not port.isdecimal()]:
        # With an @ anywhere it may be a piece of a password.
        raise _refused("its port is no number" if "@" in url else f"{wrong[0]!r} is not a port")
    return given


def _refused(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"database URL: {reason}; write postgresql://user:password@host:5432/database, special characters in user and password"
        " percent-encoded"
    )


def _shown(given: Mapping[str, object]) -> str:
    user = f"{quote(str(given['user']))}@" if "user" in given else ""
    hosts = str(given.get("host", given.get("hostaddr", ""))).split(",")
    ports = str(given.get("port", "")).split(",")
    if len(ports) < len(hosts):
        ports *= len(hosts)
    places = ",".join(quote(host, safe="") + (f":{port}" if port else "") for host, port in zip(hosts, ports, strict=False))
    return f"postgresql://{user}{places}/{quote(str(given.get('dbname', '')))}"
