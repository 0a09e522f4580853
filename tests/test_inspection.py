"""Tests of attest.inspection, through Verifier.inspect."""

from __future__ import annotations

import json

import pytest

from attest import Inspection
from attest.inspection import TITLES
from tests.support import der
from tests.support.pki import (
    AT,
    EXTENSIONS,
    NONCE,
    SUBJECT,
    SignerInfo,
    attributes_for,
    ec_key,
    good_evidence,
    make_content,
    make_crl,
    make_evidence,
    make_signer,
    pki,
    raw_name,
    resign,
)


def inspect(evidence: str | bytes, **options: object) -> Inspection:
    """Inspect with the default verifier at the default time."""
    return pki().verifier().inspect(evidence, at=AT, **options)  # type: ignore[arg-type]


def statuses(inspection: Inspection) -> dict[int, str]:
    """Return each step's status, or its code where it failed."""
    return {item.step: item.code or item.status for item in inspection.steps}


def test_good_evidence_passes_every_step() -> None:
    """Ten steps in order, each with its title and what it found."""
    crls = [make_crl(pki().root), make_crl(pki().intermediate)]
    inspection = inspect(good_evidence(), nonce=NONCE, crls=crls)
    assert statuses(inspection) == dict.fromkeys(range(1, 11), "passed")
    assert [item.title for item in inspection.steps] == list(TITLES.values())
    details = [item.detail for item in inspection.steps]
    assert details[1] == "1 certificate, one SignerInfo without signedAttrs"
    assert details[3] == "eastus.metadata.azure.com, cloud public, region eastus"
    assert details[7] == "metadata.azure.com <- Test Issuing CA 01 <- Test Root G1"
    assert details[9] == "good"
    assert inspection.path is not None


def test_signed_attributes_and_a_full_bag_are_told() -> None:
    """The summary of step 2 tells what the SignedData holds."""
    info = SignerInfo(signed_attributes=attributes_for(make_content()))
    bag = [pki().root.der, pki().signer.der]
    inspection = inspect(make_evidence(pki().signer, info=info, certificates=bag))
    assert inspection.steps[1].detail == "2 certificates, one SignerInfo with signedAttrs"
    assert len(inspection.certificates) == 2


def test_without_crls_revocation_is_skipped() -> None:
    """And the outcome says why."""
    step = inspect(good_evidence()).steps[8]
    assert (step.status, step.detail, step.code) == ("skipped", "no CRL is given", None)


def test_revocation_step_says_what_the_policy_made_of_it() -> None:
    """Soft tells that it let something pass; off, that nothing was asked."""
    crls = [make_crl(pki().root)]
    soft = pki().verifier(revocation="soft").inspect(good_evidence(), at=AT, crls=crls)
    assert (soft.steps[8].status, soft.steps[8].code) == ("passed", None)
    assert soft.steps[8].detail.startswith("unknown")
    off = pki().verifier(revocation="off").inspect(good_evidence(), at=AT, crls=crls)
    assert (off.steps[8].status, off.steps[8].detail) == (
        "skipped",
        "the policy does not ask for it",
    )
    assert statuses(inspect(good_evidence(), crls=crls))[9] == "revocation_unknown"


def test_a_failed_step_skips_what_needs_it() -> None:
    """Nothing can be said of evidence that cannot be decoded; every step is listed still."""
    found = statuses(inspect("!"))
    assert found == {1: "evidence_not_base64", **dict.fromkeys(range(2, 11), "skipped")}


def test_independent_steps_all_tell() -> None:
    """One inspection finds every fault: name, signature, nonce, path, policy."""
    signer = make_signer(pki().root, names=["evil.example"], key=ec_key("evil"))
    evidence = make_evidence(signer, shown=make_content(nonce="other"))
    assert statuses(inspect(evidence, nonce=NONCE)) == {
        1: "passed",
        2: "passed",
        3: "passed",
        4: "signer_name_mismatch",
        5: "signature_invalid",
        6: "passed",
        7: "nonce_mismatch",
        8: "skipped",
        9: "skipped",
        10: "skipped",
    }


def test_signature_of_a_wrong_signer_is_still_checked() -> None:
    """Who signed and whether the signature is good are two questions."""
    signer = make_signer(pki().intermediate, names=["evil.example"])
    found = statuses(inspect(make_evidence(signer)))
    assert (found[4], found[5]) == ("signer_name_mismatch", "passed")


def test_an_unsupported_key_skips_the_signature() -> None:
    """A key that is not supported is not used, not even to inspect."""
    signer = make_signer(pki().intermediate, key=ec_key("k", "k256"))
    found = statuses(inspect(make_evidence(signer)))
    assert (found[4], found[5], found[8]) == ("signer_key_unsupported", "skipped", "skipped")


def test_a_missing_signer_skips_its_steps() -> None:
    """The document is shown though nobody can be said to have signed it."""
    inspection = inspect(make_evidence(pki().signer, certificates=[pki().root.der]))
    found = statuses(inspection)
    assert found[3] == "signer_certificate_missing"
    assert [found[step] for step in (4, 5, 8, 9, 10)] == ["skipped"] * 5
    assert found[6] == "passed"
    assert inspection.unverified_document is not None


def test_a_classic_document_is_shown_though_step_six_refuses_it() -> None:
    """What could be parsed is shown, under a name that says what it is worth."""
    inspection = inspect(make_evidence(pki().signer, make_content(timeStamp=None)))
    assert statuses(inspection)[6] == "document_field_missing"
    assert inspection.unverified_document is not None


def test_unparsable_content_shows_no_document() -> None:
    """Content that is no document is none."""
    inspection = inspect(make_evidence(pki().signer, b"x"))
    assert statuses(inspection)[6] == "document_malformed"
    assert inspection.unverified_document is None


@pytest.mark.parametrize("evidence", ["!", good_evidence()])
def test_inspection_as_json(evidence: str | bytes) -> None:
    """Whatever was found, JSON can hold it; and no key could be taken for a verdict."""
    values = inspect(evidence).to_dict()
    assert json.loads(json.dumps(values)) == values
    assert set(values) == {"steps", "unverified_document", "certificates", "chain"}


def _doubled_extension() -> bytes:
    extension = der.sequence(der.oid("2.5.29.17"), der.octets(der.sequence()))
    return der.context(3, der.sequence(extension, extension))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(EXTENSIONS, _doubled_extension(), id="doubled extension"),
        pytest.param(SUBJECT, raw_name(0x0C, b"\xff"), id="not UTF-8"),
        pytest.param(SUBJECT, raw_name(0x03, b"\0a"), id="BIT STRING"),
        pytest.param(SUBJECT, raw_name(0x13, b"USA", "2.5.4.6"), id="long country"),
    ],
)
def test_certificates_that_cannot_be_described_are_left_out(place: int, value: bytes) -> None:
    """A damaged certificate in the bag hides neither the others nor the findings."""
    damaged = resign(pki().intermediate.der, pki().root.key, {place: value})
    inspection = inspect(make_evidence(pki().signer, certificates=[damaged, pki().signer.der]))
    assert len(inspection.certificates) == 1
    assert statuses(inspection)[8] == "passed"


def test_names_that_nobody_reads_are_left_out() -> None:
    """So with an x400Address in the subjectAltName of a certificate of the bag."""
    odd = make_signer(pki().intermediate, raw_names=[der.tlv(0xA3, b"\x02\x05\0")], serial=7)
    inspection = inspect(make_evidence(pki().signer, certificates=[odd.der, pki().signer.der]))
    assert len(inspection.certificates) == 1


def test_an_unreadable_subject_of_the_signer_is_no_crash() -> None:
    """A signer's certificate may have a subject that nobody can read; inspect never raises."""
    odd = resign(pki().signer.der, pki().intermediate.key, {SUBJECT: raw_name(0x0C, b"\xff")})
    inspection = inspect(make_evidence(pki().signer, certificates=[odd]))
    assert len(inspection.steps) == 10
