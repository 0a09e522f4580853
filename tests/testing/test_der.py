"""The fake's DER encoder, against cryptography's."""

from __future__ import annotations

import pytest
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from attest.testing import der


@given(st.integers(min_value=-(2**200), max_value=2**200))
def test_integer(value: int) -> None:
    """Integers of any sign and size."""
    assert der.integer(value) == asn1.encode_der(value)


@given(
    st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**64), min_size=1, max_size=9)
)
def test_oid(first: int, second: int, rest: list[int]) -> None:
    """Object identifiers."""
    dotted = ".".join(map(str, (first, second, *rest)))
    assert der.oid(dotted) == asn1.encode_der(ObjectIdentifier(dotted))


@given(st.lists(st.binary(max_size=300)))
def test_reader_reads_what_is_written(values: list[bytes]) -> None:
    """A sequence of octet strings comes back."""
    elements = [der.octet_string(value) for value in values]
    encoded = der.sequence(*elements)
    assert der.children(encoded) == elements
    assert der.read(encoded)[2] == len(encoded)


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x01", b"\x30\x80", b"\x30\x82\x01"])
def test_reader_refuses(data: bytes) -> None:
    """What is cut short or of indefinite length is refused."""
    with pytest.raises(ValueError, match="element"):
        der.read(data)
