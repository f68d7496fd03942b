"""SHA-256 whose state can be kept in a checkpoint, for the digest of a list of digests: hashlib's cannot be.

FIPS 180-4, section 6.2, in plain Python: a list has some hundred bytes a file, so its speed does not matter.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

_BLOCK_BYTES: Final = 64
_MASK: Final = 0xFFFFFFFF


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _root_bits(number: int, degree: int) -> int:
    """The first 32 bits of the fractional part of a square or cube root, by whole numbers."""
    scaled = number << (32 * degree)
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= scaled else (low, middle - 1)
    return low & _MASK


_START: Final = tuple(_root_bits(prime, 2) for prime in _primes(8))
_ROUNDS: Final = tuple(_root_bits(prime, 3) for prime in _primes(64))


class ListDigest(BaseModel):
    """The digest so far.

    Attributes:
        words: what the whole blocks gave. rest: the bytes after them, in hex. count: of all bytes.
    """

    words: tuple[int, ...] = _START
    rest: str = ""
    count: int = 0

    def add(self, data: bytes) -> None:
        pending = bytes.fromhex(self.rest) + data
        whole = len(pending) - len(pending) % _BLOCK_BYTES
        for at in range(0, whole, _BLOCK_BYTES):
            self.words = _mixed(self.words, pending[at : at + _BLOCK_BYTES])
        self.rest = pending[whole:].hex()
        self.count += len(data)

    def hex(self) -> str:
        """The digest of all that was added; more may be added afterwards."""
        last = self.model_copy()
        zeros = (_BLOCK_BYTES - 9 - self.count) % _BLOCK_BYTES
        last.add(b"\x80" + bytes(zeros) + (self.count * 8).to_bytes(8, "big"))
        return b"".join(word.to_bytes(4, "big") for word in last.words).hex()


def _mixed(words: tuple[int, ...], block: bytes) -> tuple[int, ...]:
    w = [int.from_bytes(block[at : at + 4], "big") for at in range(0, _BLOCK_BYTES, 4)]
    for t in range(16, 64):
        s0 = _turn(w[t - 15], 7) ^ _turn(w[t - 15], 18) ^ (w[t - 15] >> 3)
        s1 = _turn(w[t - 2], 17) ^ _turn(w[t - 2], 19) ^ (w[t - 2] >> 10)
        w.append((w[t - 16] + s0 + w[t - 7] + s1) & _MASK)
    a, b, c, d, e, f, g, h = words
    for t in range(64):
        t1 = h + (_turn(e, 6) ^ _turn(e, 11) ^ _turn(e, 25)) + ((e & f) ^ (~e & g)) + _ROUNDS[t] + w[t]
        t2 = (_turn(a, 2) ^ _turn(a, 13) ^ _turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
        a, b, c, d, e, f, g, h = (t1 + t2) & _MASK, a, b, c, (d + t1) & _MASK, e, f, g
    return tuple((old + new) & _MASK for old, new in zip(words, (a, b, c, d, e, f, g, h), strict=True))


def _turn(word: int, by: int) -> int:
    return ((word >> by) | (word << (32 - by))) & _MASK
