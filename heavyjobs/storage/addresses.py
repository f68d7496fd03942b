"""Which addresses a job may be led to: somebody else's name, or redirect, must not reach into the operator's own network.

Guarantees: the address that was judged is the one that is connected to, so a name that changes its mind gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, TypeAlias

from heavyjobs.storage.failures import NotThere, Unreachable, Unusable

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def connected(host: str, port: int, *, private: bool, timeout: float) -> socket.socket:
    """A connection to a host, after its addresses were judged.

    Args:
        private: whether addresses of private networks and of this host are allowed.

    Raises:
        Unusable: the name leads to an address that is not open. NotThere: there is no such name. Unreachable: nobody answers.
    """
    addresses = judged(host, port, private=private)
    return _first_that_answers(host, addresses, port, timeout)


def judged(host: str, port: int | None = None, *, private: bool) -> list[str]:
    """The addresses that a name leads to, each of which is open.

    Raises:
        Unusable: the name leads to an address that is not open. NotThere: there is no such name.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        kind = Unreachable if error.errno == socket.EAI_AGAIN else NotThere
        raise kind(host, f"the name leads nowhere: {error.strerror}") from None
    except UnicodeError:
        raise Unusable(host, "is no name of a host", would_do="check the URL") from None
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    for address in addresses:
        if not private and not is_public(ipaddress.ip_address(address.partition("%")[0])):
            would_do = "name the place as a location whose URL ends in ?private=allow"
            raise Unusable(host, f"leads to {address}, which is not a public address", would_do=would_do)
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large, also one that is wrapped in another."""
    inner = _inside(address)
    return address.is_global and not address.is_multicast and (inner is None or is_public(inner))


def _inside(address: Address) -> Address | None:
    """The IPv4 address that a gateway would take out of an IPv6 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _first_that_answers(host: str, addresses: list[str], port: int, timeout: float) -> socket.socket:
    trouble = ""
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            trouble = str(error)
    raise Unreachable(host, f"does not answer: {trouble}")
