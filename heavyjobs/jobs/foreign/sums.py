"""The sums that a rar has of its members' bytes, made again from the bytes that came out."""

from __future__ import annotations

import zlib
from hashlib import blake2s
from typing import Final, Protocol

_LEAVES: Final = 8
_BLOCK_BYTES: Final = 64
_ROUND_BYTES: Final = _LEAVES * _BLOCK_BYTES


class Sum(Protocol):
    """Takes bytes in pieces of any size; `digest` is the sum of all."""

    def update(self, data: bytes) -> None: ...

    def digest(self) -> bytes: ...


class Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class Blake2sp:
    """Eight BLAKE2s that take blocks in turn, and one of their digests (blake2.net, "BLAKE2sp")."""

    def __init__(self) -> None:
        self._leaves: Final = [_node(offset=at, depth=0, last=at == _LEAVES - 1) for at in range(_LEAVES)]
        self._rest = b""

    def update(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % _ROUND_BYTES
        self._feed(data[:whole])
        self._rest = data[whole:]

    def digest(self) -> bytes:
        """Once, at the end."""
        self._feed(self._rest)
        root = _node(offset=0, depth=1, last=True)
        for leaf in self._leaves:
            root.update(leaf.digest())
        return root.digest()

    def _feed(self, data: bytes) -> None:
        for at, leaf in enumerate(self._leaves):
            blocks = range(at * _BLOCK_BYTES, len(data), _ROUND_BYTES)
            leaf.update(b"".join([data[start : start + _BLOCK_BYTES] for start in blocks]))


def sum_like(known: bytes) -> Sum | None:
    """What makes a sum of that sort; None where there is none to compare with."""
    return {0: None, 4: Crc32(), 32: Blake2sp()}[len(known)]


def _node(*, offset: int, depth: int, last: bool) -> blake2s:
    return blake2s(digest_size=32, fanout=_LEAVES, depth=2, inner_size=32, node_offset=offset, node_depth=depth, last_node=last)
