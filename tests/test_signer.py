"""Tests of attest.signer: step 4."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from attest import Cloud, Code
from attest.signer import load_certificate, read_signer, verification_key
from tests.support import der
from tests.support.pki import (
    EXTENSIONS,
    PUBLIC_KEY,
    SERIAL,
    SUBJECT,
    UNREADABLE_FIELDS,
    VERSION,
    PrivateKey,
    ec_key,
    make_signer,
    pki,
    raw_name,
    resign,
)
from tests.support.refusal import refused


def with_rsa_numbers(modulus: int, exponent: int) -> x509.Certificate:
    """Return the signer's certificate with a key of these numbers."""
    info = der.sequence(
        der.algorithm("1.2.840.113549.1.1.1"),
        der.tlv(0x03, b"\0", der.sequence(der.integer(modulus), der.integer(exponent))),
    )
    return x509.load_der_x509_certificate(
        resign(pki().signer.der, pki().intermediate.key, {PUBLIC_KEY: info})
    )


def test_a_signer_is_read() -> None:
    """Cloud, region and reference come from the subjectAltName."""
    signer = read_signer(pki().signer.certificate)
    assert (signer.cloud, signer.region) == (Cloud.PUBLIC, "eastus")
    assert signer.reference == "eastus.metadata.azure.com"
    assert signer.certificate == pki().signer.certificate


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_ecdsa_keys_are_read(curve: str) -> None:
    """The three NIST curves are signers' keys."""
    certificate = make_signer(pki().intermediate, key=ec_key("signer", curve)).certificate
    assert read_signer(certificate).key.family == "ECDSA"


@pytest.mark.parametrize("bits", [2048, 3072, 4096, 8192])
def test_rsa_keys_within_the_bounds_are_read(bits: int) -> None:
    """2,048 to 8,192 bits, both ends included."""
    certificate = with_rsa_numbers(2 ** (bits - 1) + 1, 65537)
    assert read_signer(certificate).key.family == "RSA"


@pytest.mark.parametrize(
    ("bits", "exponent"),
    [
        (1024, 65537),
        (2047, 65537),
        (8193, 65537),
        (16384, 65537),
        (2048, 3),
        (2048, 65535),
        (2048, 65538),
        (2048, 2**64 + 1),
        (4096, 2**4000 + 1),
    ],
)
def test_rsa_keys_outside_the_bounds_are_refused(bits: int, exponent: int) -> None:
    """Too short to trust, or too dear to use."""
    with refused(Code.SIGNER_KEY_UNSUPPORTED, 4):
        read_signer(with_rsa_numbers(2 ** (bits - 1) + 1, exponent))


def test_a_short_key_can_still_be_used_to_inspect() -> None:
    """Inspection says whether a short key's signature is good; no long key is touched."""
    assert verification_key(with_rsa_numbers(2**1023 + 1, 65537)).family == "RSA"
    with refused(Code.SIGNER_KEY_UNSUPPORTED, 4):
        verification_key(with_rsa_numbers(2**16383 + 1, 65537))


def _unsupported_keys() -> dict[str, bytes]:
    ed = ed25519.Ed25519PrivateKey.generate().public_key()
    parameters = der.sequence(*map(der.integer, (2**2047 + 1, 2**255 + 95, 2)))
    dsa_info = der.sequence(
        der.sequence(der.oid("1.2.840.10040.4.1"), parameters),
        der.tlv(0x03, b"\0", der.integer(4)),
    )
    k256 = ec_key("signer", "k256").public_key()
    unknown = der.sequence(der.algorithm("1.2.3.4"), der.tlv(0x03, b"\0key"))
    off_curve = der.sequence(
        der.sequence(der.oid("1.2.840.10045.2.1"), der.oid("1.2.840.10045.3.1.7")),
        der.tlv(0x03, b"\0\x04", bytes(63), b"\x01"),
    )
    return {
        "ed25519": ed.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "dsa": dsa_info,
        "k256": k256.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "unknown": unknown,
        "off_curve": off_curve,
    }


@pytest.mark.parametrize("kind", ["ed25519", "dsa", "k256", "unknown", "off_curve"])
def test_other_keys_are_refused(kind: str) -> None:
    """Other algorithms, other curves, and points that lie on none."""
    info = _unsupported_keys()[kind]
    certificate = load_certificate(
        resign(pki().signer.der, pki().intermediate.key, {PUBLIC_KEY: info})
    )
    with refused(Code.SIGNER_KEY_UNSUPPORTED, 4):
        read_signer(certificate)


def test_common_name_is_never_a_name() -> None:
    """Without a subjectAltName there is no name, whatever the common name says."""
    certificate = make_signer(pki().intermediate, names=None).certificate
    with refused(Code.SIGNER_NAME_MISMATCH, 4, "no subjectAltName"):
        read_signer(certificate)


def test_other_kinds_of_names_do_not_count() -> None:
    """A URI, an address or a mail box that mentions the domain is no dNSName."""
    names = [
        der.tlv(0x86, b"https://metadata.azure.com"),
        der.tlv(0x81, b"root@metadata.azure.com"),
        der.tlv(0x87, bytes(4)),
    ]
    certificate = make_signer(pki().intermediate, names=(), raw_names=names).certificate
    with refused(Code.SIGNER_NAME_MISMATCH, 4, "no dNSName"):
        read_signer(certificate)


@pytest.mark.parametrize(
    "usages",
    [
        None,
        (ExtendedKeyUsageOID.CLIENT_AUTH,),
        (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,),
        (ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION),
    ],
)
def test_server_auth_is_required(usages: tuple[x509.ObjectIdentifier, ...] | None) -> None:
    """The extendedKeyUsage names serverAuth itself."""
    certificate = make_signer(pki().intermediate, extended_key_usage=usages).certificate
    with refused(Code.SIGNER_USAGE_INVALID, 4, "serverAuth"):
        read_signer(certificate)


def test_further_usages_do_no_harm() -> None:
    """Azure's signers have clientAuth beside serverAuth."""
    usages = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
    assert read_signer(make_signer(pki().intermediate, extended_key_usage=usages).certificate)


def test_key_usage_must_allow_signatures_where_it_is_present() -> None:
    """A keyUsage without digitalSignature refuses; no keyUsage does not."""
    with refused(Code.SIGNER_USAGE_INVALID, 4, "digitalSignature"):
        read_signer(make_signer(pki().intermediate, digital_signature=False).certificate)
    assert read_signer(make_signer(pki().intermediate, digital_signature=None).certificate)


def _key() -> PrivateKey:
    return pki().intermediate.key


def _doubled_extension() -> bytes:
    extension = der.sequence(der.oid("2.5.29.17"), der.octets(der.sequence()))
    return der.context(3, der.sequence(extension, extension))


@pytest.mark.parametrize("tag", [0xA3, 0xA5])
def test_general_names_that_nobody_reads_are_refused(tag: int) -> None:
    """An x400Address or ediPartyName beside good names is a refusal, not a crash."""
    raw = der.tlv(tag, b"\x02\x05\x00")
    certificate = make_signer(pki().intermediate, raw_names=[raw]).der
    with refused(Code.CMS_MALFORMED, 2):
        read_signer(load_certificate(certificate))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(VERSION, der.context(0, der.integer(0)), id="v1"),
        pytest.param(VERSION, der.context(0, der.integer(1)), id="v2"),
        pytest.param(VERSION, der.context(0, der.integer(7)), id="v8"),
        pytest.param(SERIAL, der.integer(-1), id="negative serial"),
        pytest.param(EXTENSIONS, _doubled_extension(), id="extension twice"),
        pytest.param(
            EXTENSIONS,
            der.context(3, der.sequence(der.sequence(der.oid("2.5.29.17"), der.octets(b"\x05\0")))),
            id="subjectAltName is NULL",
        ),
    ],
)
def test_a_signer_certificate_must_be_a_sound_v3(place: int, value: bytes) -> None:
    """Version 3, a positive serial number, readable extensions, each at most once."""
    with refused(Code.CMS_MALFORMED, 2, "cannot be read"):
        load_certificate(resign(pki().signer.der, _key(), {place: value}))


@pytest.mark.parametrize(("place", "value"), UNREADABLE_FIELDS)
def test_a_signer_certificate_is_read_in_full(place: int, value: bytes) -> None:
    """Anyone can send names or dates that cannot be read: found at once, not at a later step."""
    with refused(Code.CMS_MALFORMED, 2, "cannot be read"):
        load_certificate(resign(pki().signer.der, _key(), {place: value}))


def test_a_certificate_of_version_one_is_refused() -> None:
    """Version 1 has no extensions, so it could name nobody."""
    bare = resign(pki().signer.der, _key(), {VERSION: b"", EXTENSIONS: b""})
    with refused(Code.CMS_MALFORMED, 2, "version 3"):
        load_certificate(bare)


def test_what_is_no_certificate_is_refused() -> None:
    """Garbage with a SEQUENCE's tag is no certificate."""
    with refused(Code.CMS_MALFORMED, 2, "cannot be read"):
        load_certificate(der.sequence(der.integer(1)))


@pytest.mark.parametrize(
    ("octets", "code", "step"),
    [
        ("m\u0435tadata.azure.com".encode(), Code.SIGNER_NAME_MISMATCH, 4),
        (b"m\xe9tadata.azure.com", Code.CMS_MALFORMED, 2),
        (b"metadata.azure.com\0", Code.SIGNER_NAME_MISMATCH, 4),
    ],
)
def test_names_of_raw_octets_are_refused(octets: bytes, code: Code, step: int) -> None:
    """A dNSName is an IA5String of a host name's characters; anything else is refused."""
    names = [der.tlv(0x82, octets), der.tlv(0x82, b"metadata.azure.com")]
    certificate = make_signer(pki().intermediate, names=(), raw_names=names).der
    with refused(code, step):
        read_signer(load_certificate(certificate))


def test_an_odd_subject_does_not_matter() -> None:
    """The subject's text is nobody's name; a signer may have any."""
    certificate = resign(pki().signer.der, _key(), {SUBJECT: raw_name(0x0C, b"x")})
    assert read_signer(load_certificate(certificate)).cloud is Cloud.PUBLIC
