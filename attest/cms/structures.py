"""The ASN.1 types of CMS SignedData, declared as in RFC 5652 sections 3, 5 and 12.

cryptography's Rust reader decodes them as strict DER (X.690): BER, trailing octets and fields
that the RFC does not name are errors.  AlgorithmIdentifiers stay undecoded (``asn1.TLV``): they
are compared whole with the few that are allowed.
"""

from __future__ import annotations

from typing import Annotated

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

ID_DATA = ObjectIdentifier("1.2.840.113549.1.7.1")
ID_SIGNED_DATA = ObjectIdentifier("1.2.840.113549.1.7.2")
ID_CONTENT_TYPE = ObjectIdentifier("1.2.840.113549.1.9.3")
ID_MESSAGE_DIGEST = ObjectIdentifier("1.2.840.113549.1.9.4")
ID_SUBJECT_KEY_IDENTIFIER = ObjectIdentifier("2.5.29.14")

OCTET_STRING = b"\x04"
SEQUENCE = b"\x30"
SET = b"\x31"
_OCTETS = [bytes((value,)) for value in range(256)]


@asn1.sequence
class EncapsulatedContentInfo:
    """What is signed (RFC 5652 section 5.2)."""

    content_type: ObjectIdentifier
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class IssuerAndSerialNumber:
    """Names a certificate by its issuer (RFC 5652 section 10.2.4)."""

    issuer: asn1.TLV
    serial_number: int


@asn1.sequence
class SignerInfo:
    """Who signed, and how (RFC 5652 section 5.3)."""

    version: int
    sid: IssuerAndSerialNumber | Annotated[bytes, asn1.Implicit(0)]
    digest_algorithm: asn1.TLV
    signed_attrs: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(0)]
    signature_algorithm: asn1.TLV
    signature: bytes
    unsigned_attrs: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class SignedData:
    """The signed message (RFC 5652 section 5.1)."""

    version: int
    digest_algorithms: asn1.SetOf[asn1.TLV]
    encap_content_info: EncapsulatedContentInfo
    # A SET OF, but no signer sorts its certificates as DER asks, so it is read as a list.
    certificates: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    crls: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    signer_infos: asn1.SetOf[SignerInfo]


@asn1.sequence
class ContentInfo:
    """The outermost layer, around a SignedData (RFC 5652 section 3)."""

    content_type: ObjectIdentifier
    content: Annotated[SignedData, asn1.Explicit(0)]


@asn1.sequence
class OtherContentInfo:
    """The outermost layer, around anything else (RFC 5652 section 3)."""

    content_type: ObjectIdentifier
    content: Annotated[asn1.TLV, asn1.Explicit(0)]


@asn1.sequence
class Attribute:
    """One signed or unsigned attribute (RFC 5652 section 5.3)."""

    type: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class Extension:
    """An extension of a certificate (RFC 5280 section 4.1)."""

    oid: ObjectIdentifier
    critical: Annotated[bool, asn1.Default(value=False)]
    value: bytes


@asn1.sequence
class TbsCertificate:
    """What a CA signs (RFC 5280 section 4.1)."""

    version: Annotated[int, asn1.Default(0), asn1.Explicit(0)]
    serial_number: int
    signature: asn1.TLV
    issuer: asn1.TLV
    validity: asn1.TLV
    subject: asn1.TLV
    subject_public_key_info: asn1.TLV
    issuer_unique_id: Annotated[asn1.BitString | None, asn1.Implicit(1)]
    subject_unique_id: Annotated[asn1.BitString | None, asn1.Implicit(2)]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(3)]


@asn1.sequence
class Certificate:
    """An X.509 certificate (RFC 5280 section 4.1), read no further than a sid needs."""

    tbs_certificate: TbsCertificate
    signature_algorithm: asn1.TLV
    signature: asn1.BitString


def whole(element: asn1.TLV) -> bytes:
    """Return an element's tag, length and contents, as they stood in the input."""
    contents = element.data
    return b"".join((element.tag_bytes, _length(len(contents)), contents))


def tlv(tag: bytes, contents: bytes) -> bytes:
    """Encode one element as DER."""
    return tag + _length(len(contents)) + contents


def _length(size: int) -> bytes:
    """Encode a length in its shortest form, the only one in DER (X.690 section 10.1)."""
    if size < 0x80:  # noqa: PLR2004 - the short form ends here
        return _OCTETS[size]
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return _OCTETS[0x80 | len(octets)] + octets
