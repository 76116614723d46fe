"""Spoils inputs: the n-th mutation of a parser's seeds is a pure function of (seed, parser, n)."""

import random
import re
import struct
from collections.abc import Sequence

INTEGERS = (0, 1, -1, 2, 7, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
            2**40, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (b"null", b"true", b"-1", b"0", b"1e999", b"-1e308", b"5e-324", b"NaN", b"Infinity", b"[]", b"{}", b'""',
         b"[[]]", b'"\\ud800"', b'"../../x"', b"9" * 30, b"9" * 400, b"1e", b"=1+1", b"\x00", b"\xff\xfe", b'"', b",,",
         b";", b"%", b"nan", b"-inf", b"0x10", b"1_0", b"\xef\xbb\xbf", b"\r", b'"N"', b"None",
         b"(" * 50, b"[" * 300, b"x" * 3000)
_TOKEN = re.compile(rb'"[^"]{0,80}"|[A-Za-z_][\w.]*|-?\d[\d.eE+-]*|[^\s\w]')
_LARGEST = 200_000


def generator_of(seed: int, parser: str, number: int) -> random.Random:
    return random.Random(f"{seed}/{parser}/{number}")


def mutation(seeds: Sequence[bytes], text: bool, chance: random.Random) -> bytes:
    """One to five changes of one of the seeds. text: most of them exchange whole words, which leaves more intact."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
        if text and chance.random() < 0.75:
            _exchange(data, seeds, chance)
        else:
            chance.choice(_CHANGES)(data, seeds, chance)
    return bytes(data[:_LARGEST])


def _exchange(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    """One word becomes another: an interesting one, or one of a seed's."""
    start = chance.randrange(len(data) + 1)
    found = _TOKEN.search(data, start)
    if found:
        other = _TOKEN.search(seed := chance.choice(seeds), chance.randrange(len(seed) + 1))
        own = other.group() if other and chance.random() < 0.4 else chance.choice(WORDS)
        data[found.start():found.end()] = own


def _flip(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _number(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    """An interesting integer or float in place of 1, 2, 4 or 8 bytes."""
    form, size = chance.choice((("B", 1), ("<H", 2), (">H", 2), ("<I", 4), (">I", 4), ("<Q", 8), (">Q", 8)))
    at = chance.randrange(max(1, len(data) - size + 1))
    value = chance.choice(INTEGERS) % 2 ** (8 * size)
    data[at:at + size] = struct.pack(form, value)


def _float(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    value = chance.choice((0.0, -1.0, float("nan"), float("inf"), 1e30, 1e-30))
    packed = struct.pack(chance.choice(("<f", "<d")), value)
    at = chance.randrange(max(1, len(data) - len(packed) + 1))
    data[at:at + len(packed)] = packed


def _cut(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    del data[at:at + chance.choice((1, 2, 4, 16, 256, 1 << 20))]


def _repeat(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    at, size = chance.randrange(len(data) + 1), chance.choice((1, 4, 16, 100))
    data[at:at] = data[at:at + size] * chance.choice((1, 2, 50))


def _splice(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    other, size = chance.choice(seeds), chance.choice((1, 8, 64, 1000))
    if other:
        start, at = chance.randrange(len(other)), chance.randrange(len(data) + 1)
        data[at:at + size] = other[start:start + size]


def _insert(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.choice(WORDS)


_CHANGES = (_flip, _flip, _set, _number, _number, _float, _cut, _repeat, _splice, _insert)
