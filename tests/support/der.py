"""A DER writer (X.690) of its own, so that no test trusts the reader that it tests.

It writes what it is told to, correct or not: that is what forgeries are made of.
"""

from __future__ import annotations


def tlv(tag: int, *contents: bytes) -> bytes:
    """Encode one element with a one-octet tag and the shortest length."""
    body = b"".join(contents)
    size = len(body)
    if size < 128:
        length = bytes([size])
    else:
        octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
        length = bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + body


def sequence(*contents: bytes) -> bytes:
    """Encode a SEQUENCE."""
    return tlv(0x30, *contents)


def set_of(*contents: bytes) -> bytes:
    """Encode a SET OF, sorted as DER asks."""
    return tlv(0x31, *sorted(contents))


def context(number: int, *contents: bytes) -> bytes:
    """Encode a constructed context-specific element, ``[number]``."""
    return tlv(0xA0 | number, *contents)


def octets(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return tlv(0x04, value)


def integer(value: int) -> bytes:
    """Encode an INTEGER in its shortest form."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER; its arcs may have any size."""
    first, second, *arcs = map(int, dotted.split("."))
    return tlv(0x06, *(_base128(arc) for arc in [first * 40 + second, *arcs]))


def _base128(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


def algorithm(dotted: str, parameters: bytes = b"\x05\x00") -> bytes:
    """Encode an AlgorithmIdentifier; its parameters are NULL unless told."""
    return sequence(oid(dotted), parameters)


def parts(element: bytes) -> list[bytes]:
    """Split a constructed element into its members, each with its tag and length."""
    body = element[header_length(element) :]
    members = []
    while body:
        size = _whole_length(body)
        members.append(body[:size])
        body = body[size:]
    return members


def header_length(element: bytes) -> int:
    """Return how many octets tag and length of an element take."""
    return 2 if element[1] < 0x80 else 2 + (element[1] & 0x7F)


def _whole_length(element: bytes) -> int:
    header = header_length(element)
    size = element[1] if header == 2 else int.from_bytes(element[2:header], "big")
    return header + size


def places(element: bytes, prefix: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Return where each element of a tree stands, as indices from the root down."""
    found = [prefix]
    if element[0] & 0x20:
        for index, member in enumerate(parts(element)):
            found += places(member, (*prefix, index))
    return found


def at(element: bytes, place: tuple[int, ...]) -> bytes:
    """Return the element that stands there."""
    for index in place:
        element = parts(element)[index]
    return element


def replaced(element: bytes, place: tuple[int, ...], other: bytes) -> bytes:
    """Put other octets in an element's place, and correct every length above it."""
    if not place:
        return other
    members = parts(element)
    members[place[0]] = replaced(members[place[0]], place[1:], other)
    return tlv(element[0], *members)
