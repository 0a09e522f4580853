"""Tests of attest.revocation: step 9."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from attest import Code
from attest.path import CertificatePath, PathValidator
from attest.revocation import check_revocation
from tests.support import der
from tests.support.pki import (
    AT,
    EXPIRES,
    NONCE,
    ec_key,
    good_evidence,
    make_ca,
    make_crl,
    make_signer,
    pki,
    raw_name,
    rsa_key,
    sha1_crl,
    sign,
)
from tests.support.refusal import refused

SECOND = timedelta(seconds=1)


def path() -> CertificatePath:
    """Return the path from the default signer to the default root."""
    validator = PathValidator([pki().root.certificate], [pki().intermediate.certificate])
    return validator.validate(pki().signer.certificate, "metadata.azure.com", AT, {})


def good_crls() -> list[x509.CertificateRevocationList]:
    """Return a CRL for each CA, with nobody of interest on it."""
    stranger = make_signer(pki().intermediate, key=ec_key("stranger"))
    return [make_crl(pki().root), make_crl(pki().intermediate, stranger)]


def test_nobody_is_revoked() -> None:
    """Current CRLs of both CAs, none of which lists the path."""
    check_revocation(path(), good_crls(), AT)
    check_revocation(path(), good_crls()[::-1], AT)


def test_signer_is_revoked() -> None:
    """The signer's serial number is on its issuer's CRL."""
    crls = [make_crl(pki().root), make_crl(pki().intermediate, pki().signer)]
    with refused(Code.CERTIFICATE_REVOKED, 9, "metadata.azure.com"):
        check_revocation(path(), crls, AT)


def test_intermediate_is_revoked() -> None:
    """A revoked CA takes its signers with it."""
    crls = [make_crl(pki().root, pki().intermediate), make_crl(pki().intermediate)]
    with refused(Code.CERTIFICATE_REVOKED, 9, "Test Issuing CA 01"):
        check_revocation(path(), crls, AT)


@pytest.mark.parametrize("present", [[], [0], [1]])
def test_a_missing_crl_leaves_revocation_unknown(present: list[int]) -> None:
    """Each CA of the path needs one: fail closed."""
    crls = good_crls()
    with refused(Code.REVOCATION_UNKNOWN, 9, "no CRL tells"):
        check_revocation(path(), [crls[index] for index in present], AT)


@pytest.mark.parametrize("ca", ["root", "intermediate"])
def test_an_expired_crl_leaves_revocation_unknown(ca: str) -> None:
    """After nextUpdate a CRL says nothing any more."""
    old = make_crl(getattr(pki(), ca), updated=(AT - timedelta(days=7), AT - SECOND))
    other = make_crl(pki().intermediate if ca == "root" else pki().root)
    with refused(Code.REVOCATION_UNKNOWN, 9, "expired"):
        check_revocation(path(), [old, other], AT)


def test_a_future_crl_leaves_revocation_unknown() -> None:
    """Before thisUpdate a CRL says nothing yet."""
    new = make_crl(pki().intermediate, updated=(AT + SECOND, AT + timedelta(days=7)))
    with refused(Code.REVOCATION_UNKNOWN, 9, "not yet valid"):
        check_revocation(path(), [make_crl(pki().root), new], AT)


def test_a_crl_of_another_key_leaves_revocation_unknown() -> None:
    """A CRL that bears the CA's name must bear its signature as well."""
    forged = make_crl(pki().intermediate, signed_by=rsa_key("another"))
    with refused(Code.REVOCATION_UNKNOWN, 9):
        check_revocation(path(), [make_crl(pki().root), forged], AT)


def test_a_forged_crl_does_not_hide_a_good_one() -> None:
    """Whatever stands before the issuer's own CRL, that one is found."""
    forged = make_crl(pki().intermediate, signed_by=rsa_key("another"))
    crls = [make_crl(pki().root), make_crl(pki().intermediate, pki().signer)]
    for order in ([forged, *crls], [*crls, forged]):
        with refused(Code.CERTIFICATE_REVOKED, 9):
            check_revocation(path(), order, AT)
    check_revocation(path(), [forged, *good_crls()], AT)


def test_an_unreadable_crl_is_not_consulted() -> None:
    """A CRL whose issuer cannot be read neither counts nor does harm."""
    version, algorithm, _, *rest = der.parts(make_crl(pki().intermediate).tbs_certlist_bytes)
    tbs = der.sequence(version, algorithm, raw_name(0x0C, b"\xff"), *rest)
    signature = der.tlv(0x03, b"\0", sign(pki().intermediate.key, tbs))
    odd = x509.load_der_x509_crl(der.sequence(tbs, algorithm, signature))
    check_revocation(path(), [odd, *good_crls()], AT)
    with refused(Code.REVOCATION_UNKNOWN, 9):
        check_revocation(path(), [odd, make_crl(pki().root)], AT)


def test_an_empty_collection_of_crls_is_a_demand() -> None:
    """Whoever gives no CRL where he means to give some learns of it; None asks for none."""
    with refused(Code.REVOCATION_UNKNOWN, 9):
        pki().verifier().verify(good_evidence(), at=AT, crls=[])
    assert pki().verifier().verify(good_evidence(), at=AT, crls=None)


def test_a_crl_of_another_ca_leaves_revocation_unknown() -> None:
    """A genuine CRL speaks for its own issuer only."""
    other = make_ca("Other CA", pki().root, key=ec_key("other"))
    with refused(Code.REVOCATION_UNKNOWN, 9):
        check_revocation(path(), [make_crl(pki().root), make_crl(other)], AT)


def test_a_sha1_crl_is_not_consulted() -> None:
    """Whoever can collide SHA-1 must not be able to un-revoke a certificate."""
    crl = sha1_crl(make_crl(pki().intermediate), pki().intermediate.key)
    rsa_key("Test Issuing CA 01").public_key().verify(
        crl.signature, crl.tbs_certlist_bytes, PKCS1v15(), hashes.SHA1()
    )
    assert crl.signature_hash_algorithm is not None
    assert crl.signature_hash_algorithm.name == "sha1"
    with refused(Code.REVOCATION_UNKNOWN, 9):
        check_revocation(path(), [make_crl(pki().root), crl], AT)


def test_the_anchor_needs_no_crl() -> None:
    """A path of signer and anchor asks for the anchor's CRL alone."""
    signer = make_signer(pki().root)
    short = PathValidator([pki().root.certificate], []).validate(
        signer.certificate, "metadata.azure.com", AT, {}
    )
    check_revocation(short, [make_crl(pki().root)], AT)
    with refused(Code.CERTIFICATE_REVOKED, 9):
        check_revocation(short, [make_crl(pki().root, signer)], AT)


def test_revocation_counts_when_the_crl_says_so() -> None:
    """A certificate on a current CRL is refused though it was revoked a moment ago."""
    crl = make_crl(pki().intermediate, pki().signer, revoked_on=AT - SECOND)
    with refused(Code.CERTIFICATE_REVOKED, 9):
        check_revocation(path(), [make_crl(pki().root), crl], AT)


def test_verifier_checks_revocation_on_warm_paths_too() -> None:
    """A signer whose path is known is still refused once a CRL lists it."""
    verifier = pki().verifier()
    revoked = [make_crl(pki().root), make_crl(pki().intermediate, pki().signer)]
    assert verifier.verify(good_evidence(), at=AT, nonce=NONCE, crls=iter(good_crls()))
    with refused(Code.CERTIFICATE_REVOKED, 9):
        verifier.verify(good_evidence(), at=AT, nonce=NONCE, crls=iter(revoked))
    with refused(Code.REVOCATION_UNKNOWN, 9):
        verifier.verify(good_evidence(), at=AT, crls=[make_crl(pki().root)])


def test_crls_are_judged_at_the_time_of_verification() -> None:
    """A CRL that is current at one time of a document's life and not at another."""
    crls = [make_crl(pki().root), make_crl(pki().intermediate, updated=(AT - SECOND, AT + SECOND))]
    verifier = pki().verifier()
    assert verifier.verify(good_evidence(), at=AT, crls=crls)
    with refused(Code.REVOCATION_UNKNOWN, 9):
        verifier.verify(good_evidence(), at=EXPIRES, crls=crls)


def test_a_crl_without_next_update_is_not_current_for_ever() -> None:
    """RFC 5280 section 5.1.2.5 demands nextUpdate; OpenSSL would take the CRL at any time."""
    root_crl, issuing_crl = good_crls()
    version, algorithm, issuer, this_update, _next_update, *rest = der.parts(
        root_crl.tbs_certlist_bytes
    )
    tbs = der.sequence(version, algorithm, issuer, this_update, *rest)
    signature = sign(pki().root.key, tbs)
    endless = x509.load_der_x509_crl(der.sequence(tbs, algorithm, der.tlv(0x03, b"\0", signature)))
    assert endless.next_update_utc is None
    assert endless.is_signature_valid(pki().root.certificate.public_key())  # type: ignore[arg-type]
    with refused(Code.REVOCATION_UNKNOWN, 9, "no CRL tells"):
        check_revocation(path(), [endless, issuing_crl], AT)
