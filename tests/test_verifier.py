"""Tests of attest.verifier: the ten steps together, their order, and the cache."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography import x509

from attest import AppraisalPolicy, Cloud, Code, TrustStore, Verifier, path
from attest.path import Origin
from tests.support import der
from tests.support.pki import (
    AT,
    CREATED,
    EXPIRES,
    ISSUER,
    NONCE,
    SIGNER_VALID,
    SignerInfo,
    ec_key,
    good_evidence,
    imds_json,
    key_identifier,
    make_ca,
    make_content,
    make_evidence,
    make_signer,
    pki,
    raw_name,
    raw_sid,
    resign,
    rsa_key,
    timestamp,
)
from tests.support.refusal import refused

SECOND = timedelta(seconds=1)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Return the times for which a path was searched."""
    times: list[datetime] = []
    search = path.PathValidator.validate

    def counting(self: path.PathValidator, *arguments: Any) -> path.CertificatePath:
        times.append(arguments[2])
        return search(self, *arguments)

    monkeypatch.setattr(path.PathValidator, "validate", counting)
    return times


def test_good_evidence_verifies() -> None:
    """Result, document and path, from DER, base64 and IMDS JSON alike."""
    verifier = pki().verifier()
    for evidence in (good_evidence(), imds_json(good_evidence())):
        result = verifier.verify(evidence, at=AT, nonce=NONCE)
        assert (result.cloud, result.region) == (Cloud.PUBLIC, "eastus")
        assert result.document.nonce == NONCE
        assert result.path.origins == (Origin.EVIDENCE, Origin.OPERATOR, Origin.OPERATOR)


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_ecdsa_evidence_verifies(curve: str) -> None:
    """The whole way with an ECDSA signer named by key identifier."""
    signer = make_signer(pki().intermediate, key=ec_key("signer", curve))
    info = SignerInfo(version=3, sid=key_identifier(signer.certificate), digest="sha384")
    evidence = make_evidence(signer, info=info, version=3)
    assert pki().verifier().verify(evidence, at=AT).cloud is Cloud.PUBLIC


@pytest.mark.parametrize("cloud", Cloud)
def test_every_cloud_has_its_own_anchors(cloud: Cloud) -> None:
    """A signer of one cloud under an anchor of another cloud is of an unknown issuer."""
    signer = make_signer(pki().intermediate, names=[cloud.signer_domain])
    evidence = make_evidence(signer)
    policy = AppraisalPolicy(clouds=set(Cloud))
    assert Verifier(pki().store(clouds={cloud}), policy).verify(evidence, at=AT).cloud is cloud
    with refused(Code.ISSUER_UNKNOWN, 8):
        Verifier(pki().store(clouds=set(Cloud) - {cloud}), policy).verify(evidence, at=AT)


def test_germany_must_be_asked_for() -> None:
    """The default policy refuses the closed cloud."""
    evidence = make_evidence(
        make_signer(pki().intermediate, names=["x.metadata.microsoftazure.de"])
    )
    with refused(Code.CLOUD_NOT_ALLOWED, 4):
        Verifier(pki().store()).verify(evidence, at=AT)
    policy = AppraisalPolicy(clouds={Cloud.GERMANY})
    assert Verifier(pki().store(), policy).verify(evidence, at=AT).region == "x"


def test_a_naive_time_is_the_callers_mistake() -> None:
    """Nobody guesses a time zone."""
    for method in (pki().verifier().verify, pki().verifier().inspect):
        with pytest.raises(ValueError, match="aware"):
            method(good_evidence(), at=AT.replace(tzinfo=None))


def test_store_and_policy_can_be_read_and_not_changed() -> None:
    """A verifier verifies what it was made to verify, for as long as it lives."""
    store, policy = pki().store(), AppraisalPolicy(require_nonce=True)
    verifier = Verifier(store, policy)
    assert (verifier.store, verifier.policy) == (store, policy)
    with pytest.raises(AttributeError):
        verifier.policy = AppraisalPolicy()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        verifier.store = store  # type: ignore[misc]


def test_any_time_zone_will_do() -> None:
    """The moment counts, not how it is written."""
    at = AT.astimezone(timezone(timedelta(hours=-7)))
    assert pki().verifier().verify(good_evidence(), at=at).verified_at == AT


def test_cache_size_must_be_positive() -> None:
    """A verifier without a cache is not to be had."""
    with pytest.raises(ValueError, match="at least 1"):
        Verifier(pki().store(), cache_size=0)


def test_steps_go_in_order() -> None:
    """Of several faults the first step's is told."""
    stranger = make_ca("Stranger", key=ec_key("stranger"))
    faulty = make_signer(stranger, names=["evil.example"], key=ec_key("evil"))
    named = make_signer(stranger, key=ec_key("evil"))
    old = {"createdOn": timestamp(CREATED), "expiresOn": timestamp(CREATED + SECOND)}
    bad_content = make_content(nonce="other", timeStamp=old)
    verifier = pki().verifier(skus=["none"])

    def verify(evidence: bytes, nonce: str = NONCE) -> None:
        verifier.verify(evidence, at=AT, nonce=nonce)

    with refused(Code.SIGNER_COUNT, 2):
        verify(make_evidence(faulty, bad_content, infos=[], certificates=[]))
    with refused(Code.SIGNER_CERTIFICATE_MISSING, 3):
        verify(make_evidence(faulty, bad_content, certificates=[]))
    with refused(Code.SIGNER_NAME_MISMATCH, 4):
        verify(make_evidence(faulty, b"", shown=bad_content))
    with refused(Code.SIGNATURE_INVALID, 5):
        verify(make_evidence(named, b"", shown=bad_content))
    with refused(Code.DOCUMENT_MALFORMED, 6):
        verify(make_evidence(named, b"{"))
    with refused(Code.DOCUMENT_EXPIRED, 7):
        verify(make_evidence(named, bad_content))
    with refused(Code.NONCE_MISMATCH, 7):
        verify(make_evidence(named), nonce="other")
    with refused(Code.ISSUER_UNKNOWN, 8):
        verify(make_evidence(named))
    with refused(Code.SKU_NOT_ALLOWED, 10):
        verify(good_evidence())


def test_intermediates_may_come_from_evidence_or_operator() -> None:
    """A link that is not pinned is taken from either, and the path says from whom."""
    verifier = Verifier(pki().store(intermediates=[]))
    bag = [pki().signer.der, pki().intermediate.der]
    result = verifier.verify(make_evidence(pki().signer, certificates=bag), at=AT)
    assert result.path.origins[1] is Origin.EVIDENCE
    verifier = Verifier(pki().store(intermediates=[]))
    given: Iterator[x509.Certificate] = iter([pki().intermediate.certificate])
    result = verifier.verify(good_evidence(), at=AT, intermediates=given)
    assert result.path.origins[1] is Origin.OPERATOR
    with refused(Code.ISSUER_UNKNOWN, 8):
        Verifier(pki().store(intermediates=[])).verify(good_evidence(), at=AT)


def test_certificates_of_callers_are_not_trusted() -> None:
    """A root among the intermediates of a call is no anchor."""
    root = make_ca("Evil Root", key=ec_key("evil root"))
    signer = make_signer(root)
    with refused(Code.ISSUER_UNKNOWN, 8):
        pki().verifier().verify(make_evidence(signer), at=AT, intermediates=[root.certificate])


def test_a_known_signer_costs_no_search(searches: list[datetime]) -> None:
    """Its path is searched once within its validity, for whatever document."""
    verifier = pki().verifier()
    for sku in ("a", "b", "c"):
        verifier.verify(make_evidence(pki().signer, make_content(sku=sku)), at=AT)
    assert searches == [AT]


def test_a_known_signer_proves_nothing_of_a_document() -> None:
    """Every check of the document is made for a signer that is known, too."""
    verifier = pki().verifier()
    verifier.verify(good_evidence(), at=AT, nonce=NONCE)
    with refused(Code.SIGNATURE_INVALID, 5):
        verifier.verify(make_evidence(pki().signer, shown=make_content(sku="x")), at=AT)
    with refused(Code.DOCUMENT_EXPIRED, 7):
        verifier.verify(good_evidence(), at=EXPIRES + SECOND)
    with refused(Code.NONCE_MISMATCH, 7):
        verifier.verify(good_evidence(), at=AT, nonce="other")


def test_a_refused_path_is_not_remembered(searches: list[datetime]) -> None:
    """No verdict of a stranger takes room in the cache."""
    stranger = make_signer(make_ca("Stranger", key=ec_key("stranger")))
    verifier = pki().verifier()
    for _ in range(2):
        with refused(Code.ISSUER_UNKNOWN, 8):
            verifier.verify(make_evidence(stranger), at=AT)
    assert len(searches) == 2
    assert len(verifier._trusted) == 0


def test_a_known_path_ends_with_its_validity(searches: list[datetime]) -> None:
    """Outside the window of the path it is searched anew, and refused."""
    last = SIGNER_VALID[1]
    times = {"createdOn": timestamp(last - 60 * SECOND), "expiresOn": timestamp(last + 60 * SECOND)}
    evidence = make_evidence(pki().signer, make_content(timeStamp=times))
    verifier = pki().verifier()
    assert verifier.verify(evidence, at=last - SECOND).valid_until == last
    assert verifier.verify(evidence, at=last).valid_until == last
    with refused(Code.CERTIFICATE_EXPIRED, 8):
        verifier.verify(evidence, at=last + SECOND)
    assert searches == [last - SECOND, last + SECOND]


def test_the_cache_is_bounded() -> None:
    """More signers than it holds push the oldest out, and verify still."""
    verifier = Verifier(pki().store(), cache_size=2)
    for serial in range(1, 6):
        signer = make_signer(pki().intermediate, serial=serial)
        verifier.verify(make_evidence(signer), at=AT)
    assert len(verifier._trusted) == 2
    assert verifier.verify(good_evidence(), at=AT)


def test_caches_of_two_verifiers_are_two() -> None:
    """What one store trusts another need not."""
    pki().verifier().verify(good_evidence(), at=AT)
    stranger = make_ca("Stranger", key=ec_key("stranger"))
    other = TrustStore.from_certificates(anchors=[stranger.certificate], clouds=set(Cloud))
    with refused(Code.ISSUER_UNKNOWN, 8):
        Verifier(other).verify(good_evidence(), at=AT)


def test_threads_share_a_verifier() -> None:
    """Good and bad evidence at once, each with its answer."""
    verifier = Verifier(pki().store(), cache_size=1)
    bad = make_evidence(pki().signer, shown=make_content(sku="x"))
    signers = [make_signer(pki().intermediate, serial=serial) for serial in range(1, 4)]
    good = [make_evidence(signer) for signer in signers]

    def verify(number: int) -> None:
        if number % 4:
            assert verifier.verify(good[number % 3], at=AT)
        else:
            with refused(Code.SIGNATURE_INVALID, 5):
                verifier.verify(bad, at=AT)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(verify, range(100)))


def test_a_classic_document_verifies_by_its_nonce() -> None:
    """Without times it holds for as long as the path."""
    evidence = make_evidence(pki().signer, make_content(timeStamp=None))
    verifier = pki().verifier(allow_missing_timestamps=True)
    assert verifier.verify(evidence, at=AT, nonce=NONCE).valid_until == SIGNER_VALID[1]
    with refused(Code.DOCUMENT_FIELD_MISSING, 6):
        verifier.verify(evidence, at=AT)
    with refused(Code.DOCUMENT_FIELD_MISSING, 6):
        pki().verifier().verify(evidence, at=AT, nonce=NONCE)


LONG_WILDCARD = "*." + ".".join(["a" * 63] * 3) + "." + "b" * 40 + ".metadata.azure.com"


def test_a_long_wildcard_is_no_crash() -> None:
    """A wildcard of 250 characters is a host name, and the one under it that is asked for not."""
    assert 246 < len(LONG_WILDCARD) <= 253
    evidence = make_evidence(make_signer(pki().intermediate, names=[LONG_WILDCARD]))
    result = pki().verifier().verify(evidence, at=AT)
    assert result.cloud is Cloud.PUBLIC


@pytest.mark.parametrize(
    "name",
    [
        raw_name(0x0C, b"\xff"),
        raw_name(0x03, b"\0a"),
    ],
    ids=["not UTF-8", "BIT STRING"],
)
def test_an_unreadable_issuer_is_no_crash(name: bytes) -> None:
    """Evidence that anyone can make, with nobody's key: a refusal, and nothing else."""
    odd = resign(pki().signer.der, rsa_key("another"), {ISSUER: name})
    evidence = make_evidence(pki().signer, certificates=[odd], info=SignerInfo(sid=raw_sid(odd)))
    with refused(Code.CMS_MALFORMED, 2):
        pki().verifier().verify(evidence, at=AT)


def test_an_x400_address_is_no_crash() -> None:
    """So with a general name that is not parsed, in a certificate of nobody's."""
    signer = make_signer(
        make_ca("Stranger", key=ec_key("stranger")), raw_names=[der.tlv(0xA3, b"\x02\x05\0")]
    )
    with refused(Code.CMS_MALFORMED, 2):
        pki().verifier().verify(make_evidence(signer), at=AT)
