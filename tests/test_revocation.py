"""Tests of attest.revocation: step 9."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from attest import Code, CrlSet, Revocation, crl_set
from attest.path import CertificatePath, PathValidator
from attest.revocation import check_revocation
from tests.support import der
from tests.support.pki import (
    AT,
    EXPIRES,
    NONCE,
    Identity,
    crl_partition,
    crl_points,
    ec_key,
    good_evidence,
    make_ca,
    make_crl,
    make_evidence,
    make_signer,
    pki,
    raw_name,
    rsa_key,
    sha1_crl,
    sign,
)
from tests.support.refusal import refused

SECOND = timedelta(seconds=1)


def path(signer: Identity | None = None) -> CertificatePath:
    """Return the path from a signer, by default the usual one, to the default root."""
    validator = PathValidator([pki().root.certificate], [pki().intermediate.certificate])
    certificate = (signer or pki().signer).certificate
    return validator.validate(certificate, "metadata.azure.com", AT, {})


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


def test_soft_lets_the_unknown_pass_and_nothing_else() -> None:
    """A result says unknown; a certificate that a CRL lists is refused all the same."""
    verifier = pki().verifier(revocation=Revocation.SOFT)
    root = make_crl(pki().root)
    for crls in ([], [root], [make_crl(pki().intermediate)]):
        assert verifier.verify(good_evidence(), at=AT, crls=crls).revocation == "unknown"
    assert verifier.verify(good_evidence(), at=AT, crls=good_crls()).revocation == "good"
    assert verifier.verify(good_evidence(), at=AT).revocation == "unchecked"
    with refused(Code.CERTIFICATE_REVOKED, 9):
        crls = [root, make_crl(pki().intermediate, pki().signer)]
        verifier.verify(good_evidence(), at=AT, crls=crls)


def test_the_unknown_does_not_hide_the_revoked() -> None:
    """No CRL speaks for the signer, and its CA is revoked: a soft policy must see that."""
    revoked = [make_crl(pki().root, pki().intermediate)]
    for policy in (Revocation.SOFT, Revocation.HARD):
        with refused(Code.CERTIFICATE_REVOKED, 9, "Test Issuing CA 01"):
            check_revocation(path(), revoked, AT, policy)


def test_off_consults_no_crl() -> None:
    """The operator's word, given on purpose; the result says that nothing was checked."""
    verifier = pki().verifier(revocation="off")
    revoked = [make_crl(pki().root), make_crl(pki().intermediate, pki().signer)]
    assert verifier.verify(good_evidence(), at=AT, crls=revoked).revocation == "unchecked"


def test_hard_is_the_default_and_the_result_tells() -> None:
    """As an attribute and in JSON."""
    result = pki().verifier().verify(good_evidence(), at=AT, crls=good_crls())
    assert (result.revocation, result.to_dict()["revocation"]) == ("good", "good")


def test_verdicts_are_remembered_until_a_date_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL is asked once for each link, and again only when a CRL begins or ends."""
    asked: list[datetime] = []
    ask = crl_set._ask_openssl

    def counted(
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        crls: list[crl_set._Crl],
        at: datetime,
    ) -> tuple[Code | None, str]:
        asked.append(at)
        return ask(certificate, issuer, crls, at)

    monkeypatch.setattr(crl_set, "_ask_openssl", counted)
    end = AT + timedelta(hours=2)
    ending = make_crl(pki().intermediate, updated=(AT - SECOND, end))
    crls = CrlSet([make_crl(pki().root), ending])
    verifier = pki().verifier()
    for seconds in range(5):
        assert verifier.verify(good_evidence(), at=AT + seconds * SECOND, crls=crls)
    assert asked == [AT, AT]
    assert verifier.verify(good_evidence(), at=end - SECOND, crls=crls)
    assert asked == [AT, AT]
    with refused(Code.REVOCATION_UNKNOWN, 9, "expired"):
        verifier.verify(good_evidence(), at=end, crls=crls)
    assert asked == [AT, AT, end]  # the root's CRL is good still
    assert verifier.verify(good_evidence(), at=AT, crls=crls)
    assert len(asked) == 5


def test_a_new_crl_counts_from_its_first_second() -> None:
    """Remembered verdicts end where a CRL of the same set begins, good ones and unknown ones."""
    later = AT + timedelta(hours=1)
    updated = (later, later + timedelta(days=7))
    revoking = make_crl(pki().intermediate, pki().signer, updated=updated)
    crls = CrlSet([*good_crls(), revoking])
    crls.check(path(), later - SECOND)
    with refused(Code.CERTIFICATE_REVOKED, 9):
        crls.check(path(), later)
    crls = CrlSet([make_crl(pki().root), make_crl(pki().intermediate, updated=updated)])
    with refused(Code.REVOCATION_UNKNOWN, 9, "not yet valid"):
        crls.check(path(), later - SECOND)
    crls.check(path(), later)


@pytest.mark.parametrize("who", ["signer", "intermediate"])
def test_a_new_set_of_crls_counts_from_the_next_verification(who: str) -> None:
    """Warm in every cache, of paths and of verdicts, a signer is refused once it is revoked."""
    verifier, issuer = pki().verifier(), "root" if who == "intermediate" else "intermediate"
    before = CrlSet(good_crls())
    for _ in range(3):
        assert verifier.verify(good_evidence(), at=AT, crls=before).revocation == "good"
    newer = (AT - SECOND, AT + timedelta(days=7))
    new = make_crl(getattr(pki(), issuer), getattr(pki(), who), updated=newer)
    for after in (CrlSet([*good_crls(), new]), before | CrlSet([new])):
        for _ in range(2):
            with refused(Code.CERTIFICATE_REVOKED, 9):
                verifier.verify(good_evidence(), at=AT, crls=after)


def test_signatures_of_crls_are_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of signers, and in a union as well."""
    verified: list[x509.CertificateRevocationList] = []
    verify = crl_set._is_signed

    def counted(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
        verified.append(crl)
        return verify(crl, issuer)

    monkeypatch.setattr(crl_set, "_is_signed", counted)
    root, issuing = CrlSet([make_crl(pki().root)]), CrlSet([make_crl(pki().intermediate)])
    both = root | issuing
    assert (len(root), len(both), len(both | root)) == (1, 2, 2)
    for name in ("one", "two", "three"):
        both.check(path(make_signer(pki().intermediate, key=ec_key(name))), AT)
    (both | root).check(path(), AT)
    assert len(verified) == 2


def test_verdicts_are_bounded() -> None:
    """A flood of signers takes no memory."""
    crls = CrlSet(good_crls(), cache_size=3)
    for _ in range(10):
        crls.check(path(), AT)
    assert len(crls._verdicts) == 3
    with pytest.raises(ValueError, match="at least 1"):
        CrlSet([], cache_size=0)


PARTS = ["http://crl.test/part1.crl", "http://crl.test/part2.crl"]


def test_a_partition_speaks_for_its_own_certificates_alone() -> None:
    """A partition's address is one of the certificate's points (RFC 5280 section 6.3.3)."""
    signer = make_signer(pki().intermediate, extensions=[crl_points(PARTS[0])])
    root = make_crl(pki().root)
    right, wrong = (make_crl(pki().intermediate, extensions=[crl_partition(u)]) for u in PARTS)
    check_revocation(path(signer), [root, right], AT)
    check_revocation(path(signer), [root, wrong, right], AT)
    with refused(Code.REVOCATION_UNKNOWN, 9, "no CRL tells"):
        check_revocation(path(signer), [root, wrong], AT)
    with refused(Code.REVOCATION_UNKNOWN, 9, "no CRL tells"):
        check_revocation(path(), [root, right], AT)  # the certificate names no partition
    revoking = make_crl(pki().intermediate, signer, extensions=[crl_partition(PARTS[0])])
    with refused(Code.CERTIFICATE_REVOKED, 9):
        check_revocation(path(signer), [wrong, revoking, root], AT)


def test_a_delta_crl_is_no_complete_one() -> None:
    """It lists changes alone: who is not on it may be on the complete one."""
    delta = make_crl(pki().intermediate, extensions=[(x509.DeltaCRLIndicator(1), True)])
    with refused(Code.REVOCATION_UNKNOWN, 9):
        check_revocation(path(), [make_crl(pki().root), delta], AT)


def test_a_crl_for_ca_certificates_does_not_speak_for_a_signer() -> None:
    """Scopes count."""
    scope = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=True,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    crl = make_crl(pki().intermediate, extensions=[(scope, True)])
    with refused(Code.REVOCATION_UNKNOWN, 9):
        check_revocation(path(), [make_crl(pki().root), crl], AT)


def test_evidence_of_a_partitioned_signer() -> None:
    """Through the verifier."""
    signer = make_signer(pki().intermediate, extensions=[crl_points(*PARTS)])
    part = make_crl(pki().intermediate, extensions=[crl_partition(PARTS[1])])
    crls = CrlSet([make_crl(pki().root), part])
    result = pki().verifier().verify(make_evidence(signer), at=AT, crls=crls)
    assert result.revocation == "good"
