"""Tests of attest.cms.structures."""

from __future__ import annotations

import pytest
from cryptography.hazmat import asn1

from attest.cms import structures
from attest.cms.structures import tlv, whole
from tests.support import der
from tests.support.pki import good_evidence, pki


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_lengths_take_their_shortest_form(size: int) -> None:
    """What is encoded anew equals what an independent writer gives."""
    assert tlv(b"\x04", bytes(size)) == der.octets(bytes(size))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65536])
def test_whole_gives_back_what_stood_there(size: int) -> None:
    """An element that was read comes out with its own tag and length."""
    element = der.tlv(0xA3, bytes(size))
    assert whole(asn1.decode_der(asn1.TLV, element)) == element


def test_content_info_is_read_as_it_was_written() -> None:
    """The declared types agree with an independent writer, field by field."""
    content_info = asn1.decode_der(structures.ContentInfo, good_evidence())
    assert content_info.content_type == structures.ID_SIGNED_DATA
    signed_data = content_info.content
    assert signed_data.version == 1
    assert signed_data.encap_content_info.content_type == structures.ID_DATA
    assert [whole(item) for item in signed_data.certificates or []] == [pki().signer.der]
    assert signed_data.crls is None
    (info,) = signed_data.signer_infos.as_list()
    assert info.version == 1
    assert isinstance(info.sid, structures.IssuerAndSerialNumber)
    assert info.sid.serial_number == pki().signer.certificate.serial_number
    assert whole(info.sid.issuer) == pki().signer.certificate.issuer.public_bytes()
    assert (info.signed_attrs, info.unsigned_attrs) == (None, None)


def test_certificate_is_read_as_far_as_a_sid_needs() -> None:
    """Issuer, serial number and extensions agree with the X.509 parser."""
    certificate = asn1.decode_der(structures.Certificate, pki().signer.der)
    tbs = certificate.tbs_certificate
    assert tbs.serial_number == pki().signer.certificate.serial_number
    assert whole(tbs.issuer) == pki().signer.certificate.issuer.public_bytes()
    found = {extension.oid for extension in tbs.extensions or []}
    assert found == {extension.oid for extension in pki().signer.certificate.extensions}
