"""Small wrongs of any file: cuts, flips, sizes that lie, numbers that nobody expects, pieces that stand twice."""

import json
import random
import struct
from typing import Any

NUMBERS = [
    b"0", b"-1", b"1", b"255", b"65536", b"2147483648", b"4294967295", b"9223372036854775808", b"18446744073709551616",
    b"1e999", b"-1e999", b"NaN", b"Infinity", b"nan", b"1e18", b"0.5", b"9" * 400, b"0" * 5000 + b"1", b"1" * 5000,
]  # fmt: skip
WORDS = [
    b"", b"null", b"true", b"false", b"{}", b"[]", b'""', b"[[[[[[", b"{" * 2000, b"[" * 20000, b'"', b"'", b"\\", b"\n", b"\r", b"\0",
    b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"O", b"|O", b"__metadata__", b"__import__('os')", b"../../etc/passwd", b"os.system",
    b"Sequential", b"Linear", b"shared", b",", b";", b"\t", b"=", b"+-", b"\xd9\xa1", b"inf", b"1979-05-27T07:32:00Z",
]  # fmt: skip


def mutated(core: bytes, draw: random.Random) -> bytes:
    """A core with one to four things wrong, as ``draw`` says."""
    for _ in range(draw.randint(1, 4)):
        core = draw.choice(_KINDS)(core, draw)
    return core[: 1 << 20]


def _cut(core: bytes, draw: random.Random) -> bytes:
    return core[: draw.randint(0, len(core))]


def _flip(core: bytes, draw: random.Random) -> bytes:
    if not core:
        return b"\0"
    at = draw.randrange(len(core))
    return core[:at] + bytes([core[at] ^ (1 << draw.randrange(8))]) + core[at + 1 :]


def _byte(core: bytes, draw: random.Random) -> bytes:
    at = draw.randint(0, len(core))
    return core[:at] + bytes([draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))]) + core[at + 1 :]


def _size(core: bytes, draw: random.Random) -> bytes:
    """A declared size: two, four or eight bytes, of either order."""
    value, code = draw.choice((0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1)), draw.choice("HIQ")
    at, raw = draw.randint(0, min(len(core), 64)), struct.pack("Q", value)[: struct.calcsize(code)]
    return core[:at] + (raw if draw.random() < 0.5 else raw[::-1]) + core[at + len(raw) :]


def _number(core: bytes, draw: random.Random) -> bytes:
    """A number as text becomes another."""
    places = [i for i, c in enumerate(core[:5000]) if 48 <= c <= 57]
    if not places:
        return core + draw.choice(NUMBERS)
    at = draw.choice(places)
    end = at
    while end < len(core) and 48 <= core[end] <= 57:
        end += 1
    while at and 48 <= core[at - 1] <= 57:
        at -= 1
    return core[:at] + draw.choice(NUMBERS) + core[end:]


def _word(core: bytes, draw: random.Random) -> bytes:
    at, gone = draw.randint(0, len(core)), draw.choice((0, 0, 1, 4, 16))
    return core[:at] + draw.choice(WORDS) + core[at + gone :]


def _twice(core: bytes, draw: random.Random) -> bytes:
    """A piece stands twice: a row, a key."""
    start = draw.randint(0, len(core))
    end = draw.randint(start, min(len(core), start + 200))
    at = draw.choice((start, end, draw.randint(0, len(core))))
    return core[:at] + core[start:end] + core[at:]


def _swap(core: bytes, draw: random.Random) -> bytes:
    """Two places where something begins trade what stands there."""
    marks = [i for i, c in enumerate(core[:5000]) if c in b'"{[,:\n']
    if len(marks) < 4:
        return _cut(core, draw)
    a, b, c, d = sorted(draw.sample(marks, 4))
    return core[:a] + core[c:d] + core[b:c] + core[a:b] + core[d:]


def _json(core: bytes, draw: random.Random) -> bytes:
    """A value of a JSON text becomes another, goes, or trades its place; the text stays JSON."""
    try:
        whole = json.loads(core)
    except (ValueError, RecursionError):
        return _word(core, draw)
    places: list[tuple[Any, Any]] = []
    waiting = [whole]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list)):
            keys = list(one) if isinstance(one, dict) else range(len(one))
            places += [(one, key) for key in keys]
            waiting += [one[key] for key in keys]
    if not places:
        return json.dumps(draw.choice(VALUES)).encode()
    holder, key = draw.choice(places)
    kind, (other, name) = draw.randrange(4), draw.choice(places)
    try:
        if kind == 0:
            del holder[key]
        else:
            holder[key] = json.loads(json.dumps(other[name])) if kind == 1 else draw.choice(VALUES)
        return json.dumps(whole).encode()
    except RecursionError:
        return _word(core, draw)


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.5, 1e308, float("nan"), float("inf"), "", "x", "adam", "a" * 1000, [],
    {}, [1], [[]], {"d": {}}, {"t": []}, {"a": "x"}, {"f": "nan"}, {"layer": "Linear", "args": [4, 3], "kwargs": {}},
]  # fmt: skip
_KINDS = (_json, _json, _json, _cut, _flip, _flip, _byte, _size, _number, _number, _word, _word, _twice, _swap)
