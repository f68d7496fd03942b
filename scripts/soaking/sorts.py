"""The kinds of fault there are, how often each is drawn, whom it happens to, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from soaking.cast import CLIENT, DATABASE, HOSTS, STEADY, StoreName


@dataclass(frozen=True, slots=True)
class Sort:
    """A kind of fault.

    Attributes:
        weight: how often, relative to the others of its store.
        targets: one of which it happens to.
        seconds: how long it lasts, from and to.
    """

    weight: float
    targets: tuple[str, ...]
    seconds: tuple[float, float] = (0.0, 0.0)


_KILLABLE: Final = tuple(host for host in HOSTS if host != STEADY)
_EVERYONE: Final = (*HOSTS, CLIENT)

ON_HOSTS: Final[Mapping[str, Sort]] = {
    "coordinator killed": Sort(6, _KILLABLE, (0.1, 5.0)),
    "coordinator and guardian killed together": Sort(3, _KILLABLE, (0.1, 5.0)),
    "coordinator stopped for less than its lease": Sort(6, HOSTS, (0.1, 1.5)),
    "coordinator stopped for longer than its lease": Sort(2, HOSTS, (2.8, 4.0)),
    "coordinator stopped until it is declared dead": Sort(4, HOSTS, (5.5, 7.0)),
    "coordinator drained": Sort(2, _KILLABLE, (0.1, 1.0)),
    "coordinator told twice to end": Sort(2, _KILLABLE, (0.1, 1.0)),
    "guardian killed": Sort(4, HOSTS),
    "fork server killed": Sort(3, HOSTS),
    "worker killed": Sort(34, HOSTS),
    "worker stopped for a while": Sort(6, HOSTS, (0.1, 1.5)),
    "lane killed": Sort(6, HOSTS),
    "child program killed": Sort(6, HOSTS),
}

ON_POSTGRES: Final[Mapping[str, Sort]] = {
    "connections closed": Sort(10, _EVERYONE),
    "connections reset": Sort(10, _EVERYONE),
    "reset in the middle of a question": Sort(6, _EVERYONE),
    "reset in the middle of an answer": Sort(6, _EVERYONE),
    "half closed towards the server": Sort(3, _EVERYONE),
    "half closed towards the client": Sort(3, _EVERYONE),
    "connections frozen": Sort(8, _EVERYONE, (0.2, 1.5)),
    "connections frozen for longer than the lease": Sort(1.5, _EVERYONE, (2.8, 6.5)),
    "connections slow": Sort(8, _EVERYONE, (0.5, 2.0)),
    "connections refused": Sort(5, _EVERYONE, (0.2, 2.0)),
    "commit done but not answered": Sort(14, _EVERYONE, (2.0, 2.0)),
    "question lost": Sort(6, _EVERYONE, (2.0, 2.0)),
    "listener cut off": Sort(4, _EVERYONE),
    "some backends terminated": Sort(10, (DATABASE,)),
    "all backends terminated": Sort(4, (DATABASE,)),
    "server restarted": Sort(1.2, (DATABASE,)),
    "server crashed": Sort(1.2, (DATABASE,)),
    "server stopped for a while": Sort(1.5, (DATABASE,), (0.3, 3.0)),
    "tables locked": Sort(2, (DATABASE,), (0.2, 2.5)),
    "rows locked": Sort(2, (DATABASE,), (0.2, 2.5)),
}

ON_SQLITE: Final[Mapping[str, Sort]] = {
    "write lock held": Sort(40, (DATABASE,), (0.02, 0.8)),
    "write lock held for longer than the lease": Sort(2, (DATABASE,), (2.8, 5.5)),
    "writer killed in its transaction": Sort(16, (DATABASE,), (0.02, 0.3)),
    "checkpoint by another process": Sort(16, (DATABASE,)),
    "old snapshot held": Sort(14, (DATABASE,), (0.2, 3.0)),
}


def sorts(store: StoreName) -> Mapping[str, Sort]:
    """All kinds of fault there are for a store."""
    return {**ON_HOSTS, **(ON_POSTGRES if store == "postgres" else ON_SQLITE)}
