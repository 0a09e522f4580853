"""Every code, produced through Verifier.verify by evidence or arguments made for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from attest import AppraisalPolicy, Code, Plan, Verifier
from tests.support import der
from tests.support.pki import (
    AT,
    CREATED,
    EXPIRES,
    NONCE,
    SIGNER_VALID,
    SignerInfo,
    attributes_for,
    ec_key,
    good_evidence,
    make_ca,
    make_content,
    make_crl,
    make_evidence,
    make_signer,
    pki,
    rsa_key,
    timestamp,
)
from tests.support.refusal import refused

SECOND = timedelta(seconds=1)


class Case:
    """One call of Verifier.verify."""

    def __init__(
        self, evidence: object = None, demands: dict[str, Any] | None = None, **arguments: Any
    ) -> None:
        """Take what differs from the good call."""
        self.evidence: Any = good_evidence() if evidence is None else evidence
        self.policy = AppraisalPolicy(**demands or {})
        self.arguments = {"at": AT, "nonce": NONCE, **arguments}

    def verify(self) -> None:
        """Make the call."""
        Verifier(pki().store(), self.policy).verify(self.evidence, **self.arguments)


def _signed(**options: Any) -> Case:
    return Case(make_evidence(pki().signer, **options))


def _signer(**options: Any) -> Case:
    return Case(make_evidence(make_signer(pki().intermediate, **options)))


def _content(**fields: Any) -> Case:
    return Case(make_evidence(pki().signer, make_content(**fields)))


def _lifetime(created: timedelta, lifetime: timedelta, **arguments: Any) -> Case:
    start = CREATED + created
    times = {"createdOn": timestamp(start), "expiresOn": timestamp(start + lifetime)}
    return Case(make_evidence(pki().signer, make_content(timeStamp=times)), **arguments)


def _stranger() -> Case:
    return Case(make_evidence(make_signer(make_ca("Stranger", key=ec_key("stranger")))))


def _at_the_end_of_the_signer(offset: timedelta, at: timedelta) -> Case:
    end = SIGNER_VALID[1]
    return _lifetime(end + offset - CREATED, timedelta(hours=1), at=end + at)


def _too_early() -> Case:
    start = SIGNER_VALID[0] - timedelta(hours=1)
    return _lifetime(start - CREATED, timedelta(hours=6), at=start)


CASES: dict[Code, Callable[[], Case]] = {
    Code.EVIDENCE_TOO_LARGE: lambda: Case(bytes(2**16 + 1)),
    Code.EVIDENCE_NOT_BASE64: lambda: Case("not base64"),
    Code.EVIDENCE_MALFORMED: lambda: Case("{}"),
    Code.CMS_MALFORMED: lambda: Case(good_evidence()[:-1]),
    Code.CONTENT_MISSING: lambda: _signed(detached=True),
    Code.CONTENT_TYPE_UNSUPPORTED: lambda: _signed(content_type="1.2.840.113549.1.9.16.1.4"),
    Code.TOO_MANY_CERTIFICATES: lambda: _signed(certificates=[pki().signer.der] * 17),
    Code.SIGNER_COUNT: lambda: _signed(infos=[]),
    Code.SIGNER_CERTIFICATE_MISSING: lambda: _signed(certificates=[pki().intermediate.der]),
    Code.SIGNER_KEY_UNSUPPORTED: lambda: _signer(key=rsa_key("short", 1024)),
    Code.SIGNER_USAGE_INVALID: lambda: _signer(extended_key_usage=None),
    Code.SIGNER_NAME_MISMATCH: lambda: _signer(names=["metadata.azure.com.evil.example"]),
    Code.CLOUD_NOT_ALLOWED: lambda: _signer(names=["metadata.microsoftazure.de"]),
    Code.ALGORITHM_UNSUPPORTED: lambda: _signed(
        info=SignerInfo(digest_algorithm=der.algorithm("1.3.14.3.2.26"))
    ),
    Code.SIGNED_ATTRIBUTES_INVALID: lambda: _signed(
        info=SignerInfo(signed_attributes=attributes_for(b"other"))
    ),
    Code.SIGNATURE_INVALID: lambda: _signed(shown=make_content(sku="other")),
    Code.DOCUMENT_MALFORMED: lambda: _content(vmId="x"),
    Code.DOCUMENT_FIELD_MISSING: lambda: _content(vmId=None),
    Code.DOCUMENT_NOT_YET_VALID: lambda: Case(at=CREATED - SECOND),
    Code.DOCUMENT_EXPIRED: lambda: Case(at=EXPIRES + SECOND),
    Code.DOCUMENT_TOO_OLD: lambda: Case(demands={"max_age": timedelta(seconds=59)}),
    Code.DOCUMENT_LIFETIME_INVALID: lambda: _lifetime(timedelta(0), timedelta(days=2)),
    Code.NONCE_REQUIRED: lambda: Case(demands={"require_nonce": True}, nonce=None),
    Code.NONCE_MISMATCH: lambda: Case(nonce="other"),
    Code.ISSUER_UNKNOWN: _stranger,
    Code.PATH_INVALID: lambda: _signer(signed_by=rsa_key("another")),
    Code.CERTIFICATE_EXPIRED: lambda: _at_the_end_of_the_signer(-SECOND, SECOND),
    Code.CERTIFICATE_NOT_YET_VALID: _too_early,
    Code.CERTIFICATE_REVOKED: lambda: Case(
        crls=[make_crl(pki().root), make_crl(pki().intermediate, pki().signer)]
    ),
    Code.REVOCATION_UNKNOWN: lambda: Case(crls=[make_crl(pki().root)]),
    Code.SUBSCRIPTION_NOT_ALLOWED: lambda: Case(demands={"subscriptions": ["other"]}),
    Code.VM_NOT_ALLOWED: lambda: Case(demands={"vms": [UUID(int=0)]}),
    Code.PLAN_NOT_ALLOWED: lambda: Case(demands={"plans": [Plan("silver")]}),
    Code.SKU_NOT_ALLOWED: lambda: Case(demands={"skus": ["other"]}),
    Code.LICENSE_TYPE_NOT_ALLOWED: lambda: Case(demands={"license_types": ["other"]}),
    Code.REGION_NOT_ALLOWED: lambda: Case(demands={"regions": ["westus"]}),
}


def test_every_code_has_its_case() -> None:
    """No code without evidence that produces it."""
    assert set(CASES) == set(Code)


def test_the_good_call_verifies() -> None:
    """The cases differ from this one, so each is refused for what is wrong with it."""
    Case().verify()


@pytest.mark.parametrize("code", Code)
def test_each_code_is_produced_by_its_step(code: Code) -> None:
    """verify() refuses with the code, and with the step that the code belongs to."""
    case = CASES[code]()
    with refused(code, code.step):
        case.verify()
