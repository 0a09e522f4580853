"""A DER encoder (X.690), and just enough of a reader to take certificates apart.

It is the fake's own: the verification core decodes with other code, so that a mistake in one is
not repeated in the other.
"""

from __future__ import annotations

from collections.abc import Iterable

INTEGER = 0x02
OCTET_STRING = 0x04
NULL = b"\x05\x00"
OID = 0x06
UTF8_STRING = 0x0C
UTC_TIME = 0x17
SEQUENCE = 0x30
SET = 0x31

_SHORT_FORM = 0x80  # a length below this is one octet (X.690 section 8.1.3.4)
_BASE = 0x80  # the digits of an object identifier's arc (X.690 section 8.19.2)


def tlv(tag: int, *contents: bytes) -> bytes:
    """Encode one element: the tag (one octet), the shortest length, the contents joined."""
    value = b"".join(contents)
    size = len(value)
    if size < _SHORT_FORM:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _SHORT_FORM | len(length))) + length + value


def sequence(*elements: bytes) -> bytes:
    """Encode a SEQUENCE of encoded elements."""
    return tlv(SEQUENCE, *elements)


def set_of(elements: Iterable[bytes]) -> bytes:
    """Encode a SET OF: the encoded elements in ascending order (X.690 section 11.6)."""
    return tlv(SET, *sorted(elements))


def octet_string(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return tlv(OCTET_STRING, value)


def bit_string(value: bytes) -> bytes:
    """Encode a BIT STRING of whole octets."""
    return tlv(0x03, b"\x00", value)


def explicit(number: int, *elements: bytes) -> bytes:
    """Encode elements under the constructed context tag ``[number]``, 0 to 30."""
    return tlv(0xA0 | number, *elements)


def implicit(number: int, value: bytes) -> bytes:
    """Encode a primitive value under the context tag ``[number]``, 0 to 30."""
    return tlv(0x80 | number, value)


def integer(value: int) -> bytes:
    """Encode an INTEGER of any sign."""
    bits = (value if value >= 0 else ~value).bit_length()
    return tlv(INTEGER, value.to_bytes(bits // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER from its dotted form, such as ``1.2.840.113549.1.7.2``.

    Raises:
        ValueError: the text is no dotted form of at least two arcs.
    """
    first, second, *rest = map(int, dotted.split("."))
    return tlv(OID, *map(_arc, (40 * first + second, *rest)))


def _arc(value: int) -> bytes:
    digits = [value % _BASE]
    while value := value // _BASE:
        digits.append(_BASE | value % _BASE)
    return bytes(reversed(digits))


def read(data: bytes, start: int = 0) -> tuple[bytes, bytes, int]:
    """Read the element at an offset.

    Returns:
        The whole element, its contents, and the offset behind it.

    Raises:
        ValueError: no element with a one-octet tag and a definite length starts there.
    """
    header = start + 2
    if len(data) < header:
        raise ValueError("the element has no length")
    size = data[start + 1]
    if size >= _SHORT_FORM:
        count = size - _SHORT_FORM
        size = int.from_bytes(data[header : header + count], "big")
        header += count
    end = header + size
    if end > len(data) or (header == start + 2 and data[start + 1] == _SHORT_FORM):
        raise ValueError("the element is cut short, or of indefinite length")
    return data[start:end], data[header:end], end


def children(element: bytes) -> list[bytes]:
    """Return the whole elements inside a constructed element, or inside an OCTET STRING.

    Raises:
        ValueError: its contents are not a series of elements.
    """
    contents, found, offset = read(element)[1], [], 0
    while offset < len(contents):
        whole, _, offset = read(contents, offset)
        found.append(whole)
    return found
