"""Five public documents that Azure signed, 2021 to 2026, against the bundled trust store."""

from __future__ import annotations

import functools
import json
from datetime import timedelta

import pytest

from attest import AppraisalPolicy, Cloud, Code, TrustStore, Verifier
from attest.path import Origin
from tests.support import der
from tests.support.refusal import refused, refused_somehow
from tests.support.vectors import RealDocument, real_documents

every_document = pytest.mark.parametrize("real", real_documents(), ids=lambda real: real.name)


@functools.lru_cache(maxsize=1)
def verifier() -> Verifier:
    """Return a verifier with the bundled store and the default policy."""
    return Verifier(TrustStore.bundled())


@every_document
def test_it_verifies_at_its_time(real: RealDocument) -> None:
    """Cloud, region, VM and nonce are what the document is known to say."""
    forms = (real.der, real.signature, real.imds, json.dumps(real.imds))
    for evidence in forms:
        result = Verifier(TrustStore.bundled()).verify(evidence, at=real.at, nonce=real.nonce)
        assert (result.cloud, result.region) == (real.cloud, real.region)
        assert str(result.document.vm_id) == real.vm_id
        assert result.document.nonce == real.nonce
        assert result.path.origins[0] is Origin.EVIDENCE
        assert set(result.path.origins[1:]) == {Origin.PINNED}


@every_document
def test_it_expires_with_its_expires_on(real: RealDocument) -> None:
    """It verifies at its last second and not at the next."""
    last = verifier().verify(real.der, at=real.at).valid_until
    assert verifier().verify(real.der, at=last)
    with refused(Code.DOCUMENT_EXPIRED, 7):
        verifier().verify(real.der, at=last + timedelta(seconds=1))


@every_document
def test_three_days_later_it_is_expired(real: RealDocument) -> None:
    """Old evidence proves nothing of today."""
    with refused(Code.DOCUMENT_EXPIRED, 7):
        verifier().verify(real.der, at=real.at + timedelta(days=3), nonce=real.nonce)


@every_document
def test_three_days_earlier_it_is_not_yet_valid(real: RealDocument) -> None:
    """Nor of the past."""
    with refused(Code.DOCUMENT_NOT_YET_VALID, 7):
        verifier().verify(real.der, at=real.at - timedelta(days=3), nonce=real.nonce)


@every_document
@pytest.mark.parametrize("cloud", Cloud)
def test_it_is_of_one_cloud(real: RealDocument, cloud: Cloud) -> None:
    """For a relying party of another cloud it is refused, though it is genuine."""
    other = Verifier(TrustStore.bundled(), AppraisalPolicy(clouds={cloud}))
    if cloud is real.cloud:
        assert other.verify(real.der, at=real.at).cloud is cloud
        return
    with refused(Code.CLOUD_NOT_ALLOWED, 4):
        other.verify(real.der, at=real.at)


@every_document
@pytest.mark.parametrize("nonce", ["", "20200101-000000", "x" * 1000])
def test_it_answers_one_nonce(real: RealDocument, nonce: str) -> None:
    """Another nonce than its own is refused."""
    with refused(Code.NONCE_MISMATCH, 7):
        verifier().verify(real.der, at=real.at, nonce=nonce)


@every_document
def test_a_required_nonce_must_be_given(real: RealDocument) -> None:
    """The nonce in the document is nobody's challenge unless somebody expects it."""
    strict = Verifier(TrustStore.bundled(), AppraisalPolicy(require_nonce=True))
    with refused(Code.NONCE_REQUIRED, 7):
        strict.verify(real.der, at=real.at)


def content_range(evidence: bytes) -> range:
    """Return where the content octets stand."""
    signed_data = der.parts(der.parts(evidence)[1])[0]
    encapsulated = der.parts(signed_data)[2]
    octets = der.parts(der.parts(encapsulated)[1])[0]
    content = octets[der.header_length(octets) :]
    start = evidence.index(content)
    return range(start, start + len(content))


def flipped(evidence: bytes, position: int, mask: int = 1) -> bytes:
    """Return the evidence with bits of one octet flipped."""
    return b"".join(
        (evidence[:position], bytes([evidence[position] ^ mask]), evidence[position + 1 :])
    )


@every_document
def test_every_octet_of_the_content_is_signed(real: RealDocument) -> None:
    """One bit of any octet of the content, and the signature is not good."""
    for position in content_range(real.der):
        with refused(Code.SIGNATURE_INVALID, 5):
            verifier().verify(flipped(real.der, position), at=real.at)


@every_document
@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_no_octet_can_be_changed(real: RealDocument, mask: int) -> None:
    """Wherever in the evidence, a changed octet is refused, warm as cold."""
    for position in range(mask % 7, len(real.der), 7):
        with refused_somehow():
            verifier().verify(flipped(real.der, position, mask), at=real.at)


def unsigned(evidence: bytes) -> set[int]:
    """Return where octets stand that no signature covers: the easiest to leave unread."""
    signed_data = der.parts(der.parts(evidence)[1])[0]
    _, algorithms, _, bag, infos = der.parts(signed_data)
    certificate = der.parts(bag)[0]
    ranges = [range(60)]
    for element in (algorithms, *der.parts(certificate)[1:], *der.parts(der.parts(infos)[0])[:-1]):
        start = evidence.index(element, evidence.index(infos) if element in infos else 0)
        ranges.append(range(start, start + min(len(element), 60)))
    return set().union(*ranges)


@every_document
@pytest.mark.parametrize("bit", range(8))
def test_no_unsigned_octet_can_be_changed(real: RealDocument, bit: int) -> None:
    """So with each bit of what is not signed: headers, hints, algorithms, sid, unused bits."""
    for position in unsigned(real.der):
        with refused_somehow():
            verifier().verify(flipped(real.der, position, 1 << bit), at=real.at)


@every_document
def test_no_octet_can_be_left_out(real: RealDocument) -> None:
    """Nor cut off at the end, nor one left out."""
    for position in range(0, len(real.der), 97):
        for evidence in (real.der[:position], real.der[:position] + real.der[position + 1 :]):
            with refused_somehow():
                verifier().verify(evidence, at=real.at)


@every_document
def test_each_step_passes_an_inspection(real: RealDocument) -> None:
    """Nine steps pass; without CRLs the ninth is skipped."""
    inspection = verifier().inspect(real.der, at=real.at, nonce=real.nonce)
    assert [item.status for item in inspection.steps if item.step != 9] == ["passed"] * 9
    assert inspection.steps[8].status == "skipped"
    assert inspection.path is not None


def test_the_two_hops_of_2026() -> None:
    """Without the new Microsoft root pinned, the cross-signed one leads to DigiCert."""
    bundled = TrustStore.bundled()
    anchors = [
        anchor.certificate
        for anchor in bundled.anchors
        if "DigiCert Global Root G2" in anchor.certificate.subject.rfc4514_string()
    ]
    links = [item.certificate for item in bundled.intermediates]
    store = TrustStore.from_certificates(
        anchors=anchors, intermediates=links, clouds={Cloud.PUBLIC}
    )
    newest = real_documents()[-1]
    result = Verifier(store).verify(newest.der, at=newest.at)
    assert [info.subject.split(",", 1)[0] for info in result.chain[1:]] == [
        "CN=Microsoft TLS G2 RSA CA OCSP 02",
        "CN=Microsoft TLS RSA Root G2",
        "CN=DigiCert Global Root G2",
    ]
