"""Tests of attest.cms.signed_data: steps 2 and 3."""

from __future__ import annotations

import pytest

from attest import Code
from attest.cms import (
    MAX_CERTIFICATE_SIZE,
    MAX_CERTIFICATES,
    SignedData,
    parse_signed_data,
    select_signer,
)
from tests.support import der
from tests.support.pki import (
    EXTENSIONS,
    ID_DATA,
    ISSUER,
    SERIAL,
    SignerInfo,
    good_evidence,
    issuer_and_serial,
    key_identifier,
    make_content,
    make_evidence,
    make_signer,
    pki,
    raw_name,
    raw_sid,
    resign,
)
from tests.support.refusal import refused

ENVELOPED = "1.2.840.113549.1.7.3"
TST_INFO = "1.2.840.113549.1.9.16.1.4"


def read(**options: object) -> SignedData:
    """Parse evidence of the default signer made with these options."""
    return parse_signed_data(make_evidence(pki().signer, **options))  # type: ignore[arg-type]


def test_content_and_bag_come_out_as_they_are() -> None:
    """Content octets and certificates are those of the evidence, in its order."""
    signed_data = read(certificates=[pki().root.der, pki().signer.der, pki().intermediate.der])
    assert signed_data.content == make_content()
    assert signed_data.certificates == (
        pki().root.der,
        pki().signer.der,
        pki().intermediate.der,
    )


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 300])
def test_content_may_be_any_octets(content: bytes) -> None:
    """What the content says is no business of step 2."""
    assert read(content=content).content == content


@pytest.mark.parametrize("size", [0, 1, 2, 30, 500, -1])
def test_truncated_evidence_is_malformed(size: int) -> None:
    """Whatever is cut off is missed."""
    with refused(Code.CMS_MALFORMED, 2, "not DER"):
        parse_signed_data(good_evidence()[:size])


@pytest.mark.parametrize("tail", [b"\0", b"\x05\x00", b"\n"])
def test_trailing_octets_are_malformed(tail: bytes) -> None:
    """Nothing may follow, neither outside nor within."""
    with refused(Code.CMS_MALFORMED, 2, "not DER"):
        parse_signed_data(good_evidence() + tail)


def test_two_evidences_are_not_one() -> None:
    """A second document after the first is trailing data."""
    with refused(Code.CMS_MALFORMED, 2, "not DER"):
        parse_signed_data(good_evidence() * 2)


def test_ber_is_malformed() -> None:
    """Indefinite lengths, and lengths longer than they need be, are not DER."""
    body = good_evidence()[4:]
    indefinite = b"\x30\x80" + body + b"\0\0"
    longer = b"\x30\x83\x00" + len(body).to_bytes(2, "big") + body
    for evidence in (indefinite, longer):
        with refused(Code.CMS_MALFORMED, 2, "not DER"):
            parse_signed_data(evidence)


@pytest.mark.parametrize("outer", [ID_DATA, ENVELOPED, "1.2.3", "1.2.840.113549.1.7.22"])
def test_other_content_types_are_unsupported(outer: str) -> None:
    """A ContentInfo that says it holds something else is refused for that."""
    with refused(Code.CONTENT_TYPE_UNSUPPORTED, 2, f"contentType is '{outer}'"):
        read(outer_type=outer)


def test_other_content_is_unsupported_whatever_it_holds() -> None:
    """So is one that does hold something else."""
    evidence = der.sequence(der.oid(ENVELOPED), der.context(0, der.sequence(der.integer(0))))
    with refused(Code.CONTENT_TYPE_UNSUPPORTED, 2, ENVELOPED):
        parse_signed_data(evidence)


def test_signed_data_must_hold_a_signed_data() -> None:
    """The right type around the wrong structure is malformed."""
    evidence = der.sequence(
        der.oid("1.2.840.113549.1.7.2"), der.context(0, der.sequence(der.integer(0)))
    )
    with refused(Code.CMS_MALFORMED, 2, "not DER of a SignedData"):
        parse_signed_data(evidence)


@pytest.mark.parametrize("content_type", [TST_INFO, ENVELOPED, "1.2.840.113549.1.7.2"])
def test_encapsulated_content_is_id_data(content_type: str) -> None:
    """Signed content of another type is not an attested document."""
    with refused(Code.CONTENT_TYPE_UNSUPPORTED, 2, f"eContentType is '{content_type}'"):
        read(content_type=content_type)


def test_content_must_be_attached() -> None:
    """A detached signature verifies nothing here."""
    with refused(Code.CONTENT_MISSING, 2, "detached"):
        read(detached=True)


@pytest.mark.parametrize("count", [0, 2, 3, 20])
def test_there_is_exactly_one_signer_info(count: int) -> None:
    """None or several: no choice is made."""
    info = SignerInfo().encode(pki().signer, make_content())
    infos = [info] * count
    with refused(Code.SIGNER_COUNT, 2, f"{count} SignerInfos"):
        read(infos=infos)


@pytest.mark.parametrize("count", [MAX_CERTIFICATES + 1, 60])
def test_the_bag_is_bounded(count: int) -> None:
    """Seventeen certificates are one too many, equal or not."""
    with refused(Code.TOO_MANY_CERTIFICATES, 2, f"{count} certificates"):
        read(certificates=[pki().signer.der] * count)


def test_a_full_bag_is_read() -> None:
    """Sixteen are allowed."""
    assert len(read(certificates=[pki().signer.der] * MAX_CERTIFICATES).certificates) == 16


def test_certificates_are_bounded_exactly() -> None:
    """8 KiB each, and not an octet more."""
    largest = der.sequence(bytes(MAX_CERTIFICATE_SIZE))
    assert read(certificates=[largest, pki().signer.der]).certificates[0] == largest
    with refused(Code.CMS_MALFORMED, 2, "8193 octets"):
        read(certificates=[pki().signer.der, der.sequence(bytes(MAX_CERTIFICATE_SIZE + 1))])


@pytest.mark.parametrize("tag", [0xA0, 0xA1, 0xA2, 0xA3, 0x31, 0x04])
def test_the_bag_holds_certificates_only(tag: int) -> None:
    """Attribute certificates and other choices are not read (RFC 5652 section 10.2.2)."""
    with refused(Code.CMS_MALFORMED, 2, "not an X.509 certificate"):
        read(certificates=[pki().signer.der, der.tlv(tag, b"\x05\0")])


@pytest.mark.parametrize(("outer", "inner"), [(0, 1), (1, 0), (3, 1), (1, 3), (3, 3), (2, 1)])
def test_versions_follow_from_the_sid(outer: int, inner: int) -> None:
    """An issuerAndSerialNumber asks for versions 1 and 1."""
    with refused(Code.CMS_MALFORMED, 2, "version"):
        read(version=outer, info=SignerInfo(version=inner))


@pytest.mark.parametrize(("outer", "inner"), [(1, 1), (3, 1), (1, 3), (4, 3)])
def test_versions_of_a_key_identifier(outer: int, inner: int) -> None:
    """A subjectKeyIdentifier asks for versions 3 and 3."""
    sid = key_identifier(pki().signer.certificate)
    with refused(Code.CMS_MALFORMED, 2, "version"):
        read(version=outer, info=SignerInfo(version=inner, sid=sid))


def test_outer_digest_algorithms_come_out_as_they_are() -> None:
    """What they announce is for step 5 to compare."""
    others = [der.algorithm("1.3.14.3.2.26"), der.algorithm("1.2.3", b"")]
    found = read(digest_algorithms=der.set_of(*others)).digest_algorithms
    assert sorted(found) == sorted(others)
    assert read(digest_algorithms=der.set_of()).digest_algorithms == ()


@pytest.mark.parametrize("serial", [0, -1, -(2**100)])
def test_a_serial_number_of_the_signer_is_positive(serial: int) -> None:
    """RFC 5280 section 4.1.2.2, whatever a program does with warnings."""
    changes = {SERIAL: der.integer(serial)}
    odd = resign(pki().signer.der, pki().intermediate.key, changes)
    with refused(Code.CMS_MALFORMED, 2, "not positive"):
        select_signer(read(certificates=[odd], info=SignerInfo(sid=raw_sid(odd))))


def test_unused_bits_of_a_signature_are_malformed() -> None:
    """A signature is whole octets; a reader that ignores the count makes two of one certificate."""
    tbs, algorithm, signature = der.parts(pki().signer.der)
    value = der.tlv(0x03, b"\1", signature[5:-1], bytes([signature[-1] & 0xFE]))
    odd = der.sequence(tbs, algorithm, value)
    with refused(Code.CMS_MALFORMED, 2, "certificate of the bag"):
        select_signer(read(certificates=[odd]))


def test_crls_in_the_evidence_are_ignored() -> None:
    """Who is revoked is not for the evidence to say."""
    assert read(crls=der.context(1, der.sequence(der.integer(1)))).content == make_content()


def test_unsigned_attributes_are_ignored() -> None:
    """They are not signed, so they say nothing."""
    attribute = der.sequence(der.oid("1.2.3"), der.set_of(b"\x05\0"))
    info = SignerInfo(unsigned_attributes=der.context(1, attribute))
    assert read(info=info).content == make_content()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_signer_is_selected_by_issuer_and_serial(place: int) -> None:
    """The sid decides, not the place in the bag."""
    bag = [pki().root.der, pki().intermediate.der]
    bag.insert(place, pki().signer.der)
    assert select_signer(read(certificates=bag)) == pki().signer.der


@pytest.mark.parametrize("place", [0, 1])
def test_signer_is_selected_by_key_identifier(place: int) -> None:
    """So with a subjectKeyIdentifier."""
    bag = [pki().intermediate.der]
    bag.insert(place, pki().signer.der)
    info = SignerInfo(version=3, sid=key_identifier(pki().signer.certificate))
    assert select_signer(read(version=3, info=info, certificates=bag)) == pki().signer.der


@pytest.mark.parametrize("bag", [[], ["root"], ["root", "intermediate"]])
def test_signer_must_be_in_the_bag(bag: list[str]) -> None:
    """Nothing is guessed where the sid names none of the certificates."""
    certificates = [getattr(pki(), name).der for name in bag]
    with refused(Code.SIGNER_CERTIFICATE_MISSING, 3):
        select_signer(read(certificates=certificates))


def _other_sids() -> dict[str, bytes]:
    certificate = pki().signer.certificate
    issuer, serial = certificate.issuer.public_bytes(), certificate.serial_number
    return {
        "serial": der.sequence(issuer, der.integer(serial + 1)),
        "negative serial": der.sequence(issuer, der.integer(-serial)),
        "issuer": der.sequence(certificate.subject.public_bytes(), der.integer(serial)),
        "empty issuer": der.sequence(der.sequence(), der.integer(serial)),
        "another certificate": issuer_and_serial(pki().intermediate.certificate),
    }


@pytest.mark.parametrize(
    "kind", ["serial", "negative serial", "issuer", "empty issuer", "another certificate"]
)
def test_sid_must_match_in_both_parts(kind: str) -> None:
    """Issuer and serial number both, octet by octet."""
    with refused(Code.SIGNER_CERTIFICATE_MISSING, 3):
        select_signer(read(info=SignerInfo(sid=_other_sids()[kind])))


@pytest.mark.parametrize("identifier", [b"", b"\0" * 20])
def test_key_identifier_must_match(identifier: bytes) -> None:
    """An empty identifier matches no certificate."""
    info = SignerInfo(version=3, sid=der.tlv(0x80, identifier))
    with refused(Code.SIGNER_CERTIFICATE_MISSING, 3):
        select_signer(read(version=3, info=info))


def test_a_missing_key_identifier_matches_no_sid() -> None:
    """A certificate without extensions is found by issuer and serial only."""
    bare = resign(pki().signer.der, pki().intermediate.key, {EXTENSIONS: b""})
    assert select_signer(read(certificates=[bare])) == bare
    info = SignerInfo(version=3, sid=key_identifier(pki().signer.certificate))
    with refused(Code.SIGNER_CERTIFICATE_MISSING, 3):
        select_signer(read(version=3, info=info, certificates=[bare]))


def test_the_same_certificate_twice_is_one() -> None:
    """Equal octets are no ambiguity."""
    signed_data = read(certificates=[pki().signer.der] * 2)
    assert select_signer(signed_data) == pki().signer.der


def test_two_certificates_for_one_sid_are_malformed() -> None:
    """No choice is made between two that answer to the same sid."""
    serial = pki().signer.certificate.serial_number
    twin = make_signer(pki().intermediate, serial=serial, names=["twin.metadata.azure.com"])
    for bag in ([pki().signer.der, twin.der], [twin.der, pki().signer.der]):
        with refused(Code.CMS_MALFORMED, 2, "two different"):
            select_signer(read(certificates=bag))


@pytest.mark.parametrize(
    "damaged",
    [
        der.sequence(),
        der.sequence(der.sequence(), der.sequence(), der.tlv(0x03, b"\0")),
        der.sequence(der.integer(1), der.integer(2)),
    ],
)
def test_a_damaged_certificate_in_the_bag_is_malformed(damaged: bytes) -> None:
    """What cannot be decoded might have been the signer: nothing is skipped."""
    with refused(Code.CMS_MALFORMED, 2, "certificate of the bag"):
        select_signer(read(certificates=[damaged, pki().signer.der]))


def test_a_damaged_key_identifier_is_malformed() -> None:
    """The subjectKeyIdentifier extension holds one OCTET STRING."""
    extension = der.sequence(der.oid("2.5.29.14"), der.octets(b"\x05\0"))
    changes = {EXTENSIONS: der.context(3, der.sequence(extension))}
    damaged = resign(pki().signer.der, pki().intermediate.key, changes)
    with refused(Code.CMS_MALFORMED, 2, "certificate of the bag"):
        select_signer(read(certificates=[damaged]))


def test_issuers_compare_octet_by_octet() -> None:
    """The same text in another string type is another issuer for a sid."""
    certificate = pki().signer.certificate
    changes = {ISSUER: raw_name(0x13, b"CA"), SERIAL: der.integer(certificate.serial_number)}
    printable = resign(pki().signer.der, pki().intermediate.key, changes)
    sid = der.sequence(raw_name(0x0C, b"CA"), der.integer(certificate.serial_number))
    with refused(Code.SIGNER_CERTIFICATE_MISSING, 3):
        select_signer(read(certificates=[printable], info=SignerInfo(sid=sid)))
