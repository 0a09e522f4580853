"""Tests of attest.errors."""

from __future__ import annotations

import pickle

import pytest

import attest
from attest import AttestError, CmsError, Code, IssuerUnknownError
from attest.errors import quote
from tests.support.pki import pki

STEPS = {
    1: {"evidence_too_large", "evidence_not_base64", "evidence_malformed"},
    2: {
        "cms_malformed",
        "content_missing",
        "content_type_unsupported",
        "too_many_certificates",
        "signer_count",
    },
    3: {"signer_certificate_missing"},
    4: {
        "signer_key_unsupported",
        "signer_usage_invalid",
        "signer_name_mismatch",
        "cloud_not_allowed",
    },
    5: {"algorithm_unsupported", "signed_attributes_invalid", "signature_invalid"},
    6: {"document_malformed", "document_field_missing"},
    7: {
        "document_not_yet_valid",
        "document_expired",
        "document_too_old",
        "document_lifetime_invalid",
        "nonce_required",
        "nonce_mismatch",
    },
    8: {"issuer_unknown", "path_invalid", "certificate_expired", "certificate_not_yet_valid"},
    9: {"certificate_revoked", "revocation_unknown"},
    10: {
        "subscription_not_allowed",
        "vm_not_allowed",
        "plan_not_allowed",
        "sku_not_allowed",
        "license_type_not_allowed",
        "region_not_allowed",
    },
}


@pytest.mark.parametrize("step", STEPS)
def test_codes_are_the_published_ones(step: int) -> None:
    """Clients switch on the codes: none changes its name or its step."""
    assert {str(code) for code in Code if code.step == step} == STEPS[step]


def test_no_code_is_outside_the_ten_steps() -> None:
    """Every code belongs to a step of the algorithm."""
    assert {code.step for code in Code} == set(STEPS)


def test_error_carries_code_step_and_detail() -> None:
    """A caller finds all three without parsing text."""
    error = CmsError(Code.SIGNER_COUNT, "2 SignerInfos")
    assert (error.code, error.step, error.detail) == ("signer_count", 2, "2 SignerInfos")
    assert str(error) == "signer_count: 2 SignerInfos"


def test_error_survives_pickling() -> None:
    """A worker process can hand a refusal to its parent."""
    error = pickle.loads(pickle.dumps(CmsError(Code.SIGNER_COUNT, "none")))
    assert isinstance(error, CmsError)
    assert (error.code, error.step, error.detail) == (Code.SIGNER_COUNT, 2, "none")


def test_an_unknown_issuer_names_the_certificate_that_has_it() -> None:
    """And keeps it when it is pickled."""
    signer = pki().signer.certificate
    error = IssuerUnknownError("nobody", signer)
    assert (error.code, error.step, error.certificate) == (Code.ISSUER_UNKNOWN, 8, signer)
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, IssuerUnknownError)
    assert (copy.code, copy.detail, copy.certificate) == (error.code, "nobody", signer)


def test_a_damaged_store_is_no_refusal_of_evidence() -> None:
    """Whoever catches AttestError does not blame the evidence for the operator's own files."""
    assert not issubclass(attest.TrustStoreError, AttestError)


def test_public_names_exist() -> None:
    """``__all__`` tells the truth."""
    assert len(set(attest.__all__)) == len(attest.__all__)
    assert all(hasattr(attest, name) for name in attest.__all__)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "'a'"),
        (None, "None"),
        (7, "7"),
        (True, "True"),
        (2**128 - 1, str(2**128 - 1)),
        (2**128, "an integer of 129 bits"),
        pytest.param(10**5000, "an integer of 16610 bits", id="huge"),
        ("\x1b[2J\n", "'\\x1b[2J\\n'"),
        ("é\u202e", "'\\xe9\\u202e'"),
        (b"\xff", "b'\\xff'"),
    ],
)
def test_quote_is_printable_ascii(value: object, expected: str) -> None:
    """What an attacker wrote can move no cursor and start no line of a log."""
    assert quote(value) == expected


def test_quote_is_bounded() -> None:
    """A long value is cut, and the message says how long it was."""
    assert quote("a" * 1000) == "'" + "a" * 99 + "... (1002 characters)"
    assert len(quote("a" * 1000, limit=10)) < 40
