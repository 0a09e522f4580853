"""Tests of attest.result."""

from __future__ import annotations

import json

import pytest

from attest import AttestError, Code
from attest.certificates import fingerprint
from attest.document import parse_document
from attest.result import document_to_dict, rejection_to_dict
from tests.support.pki import (
    AT,
    EXPIRES,
    NONCE,
    SIGNER_VALID,
    SUBSCRIPTION,
    VM_ID,
    good_evidence,
    make_content,
    pki,
)


def test_result_tells_until_when_it_holds() -> None:
    """Until the document expires, or the path before it."""
    result = pki().verifier().verify(good_evidence(), at=AT)
    assert (result.verified_at, result.valid_until) == (AT, EXPIRES)
    assert result.path.not_after == SIGNER_VALID[1]


def test_result_as_json() -> None:
    """The published keys, and nothing that JSON cannot hold."""
    values = pki().verifier().verify(good_evidence(), at=AT, nonce=NONCE).to_dict()
    assert json.loads(json.dumps(values)) == values
    assert list(values) == [
        "verified",
        "cloud",
        "region",
        "document",
        "signer",
        "chain",
        "verified_at",
        "valid_until",
        "revocation",
    ]
    assert values["revocation"] == "unchecked"
    assert values["verified"] is True
    assert (values["cloud"], values["region"]) == ("public", "eastus")
    assert values["verified_at"] == "2026-07-01T12:00:00Z"
    assert values["valid_until"] == "2026-07-01T17:59:00Z"
    signer, chain = values["signer"], values["chain"]
    assert isinstance(signer, dict)
    assert isinstance(chain, list)
    assert signer["sha256"] == fingerprint(pki().signer.certificate)
    assert [link["origin"] for link in chain] == ["evidence", "operator", "operator"]
    assert chain[0] == {**signer, "origin": "evidence"}


def test_result_describes_signer_and_chain() -> None:
    """The same certificates as in the path, for a person."""
    result = pki().verifier().verify(good_evidence(), at=AT)
    assert result.signer == result.chain[0]
    assert [info.sha256 for info in result.chain] == list(
        map(fingerprint, result.path.certificates)
    )


def test_result_is_frozen() -> None:
    """What was verified cannot be changed afterwards."""
    result = pki().verifier().verify(good_evidence(), at=AT)
    with pytest.raises(AttributeError):
        result.region = "westus"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        result.document.sku = "x"  # type: ignore[misc]


def test_document_as_json() -> None:
    """snake_case keys, RFC 3339 times, null where absent."""
    assert document_to_dict(parse_document(make_content(licenseType="", more=1))) == {
        "vm_id": VM_ID,
        "subscription_id": SUBSCRIPTION,
        "sku": "20_04-lts-gen2",
        "license_type": None,
        "plan": {"name": "gold", "product": "suite", "publisher": "acme"},
        "nonce": NONCE,
        "created_on": "2026-07-01T11:59:00Z",
        "expires_on": "2026-07-01T17:59:00Z",
        "extra": {"more": 1},
    }
    bare = document_to_dict(parse_document(json.dumps({"vmId": VM_ID}).encode()))
    assert {key for key, value in bare.items() if value is None} == set(bare) - {"vm_id", "extra"}


def test_rejection_as_json() -> None:
    """The published keys of a refusal."""
    error = AttestError(Code.NONCE_MISMATCH, "other")
    assert rejection_to_dict(error) == {
        "verified": False,
        "code": "nonce_mismatch",
        "step": 7,
        "detail": "other",
    }
