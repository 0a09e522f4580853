"""Why evidence was refused: stable codes, each tied to the numbered step that raises it.

The numbers are those of the algorithm in :mod:`attest.verifier`.  A code never changes its
meaning; a client may switch on it.  ``detail`` is for people and may change at any release.
"""

from __future__ import annotations

import enum
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

_HUGE_BITS = 128


class Code(enum.StrEnum):
    """The stable reason for a refusal; ``Code.X.step`` is the step that gives it."""

    step: int

    def __new__(cls, value: str, step: int = 0) -> Self:
        """Make a member of its value and the number of its step."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.step = step
        return member

    EVIDENCE_TOO_LARGE = "evidence_too_large", 1
    EVIDENCE_NOT_BASE64 = "evidence_not_base64", 1
    EVIDENCE_MALFORMED = "evidence_malformed", 1
    CMS_MALFORMED = "cms_malformed", 2
    CONTENT_MISSING = "content_missing", 2
    CONTENT_TYPE_UNSUPPORTED = "content_type_unsupported", 2
    TOO_MANY_CERTIFICATES = "too_many_certificates", 2
    SIGNER_COUNT = "signer_count", 2
    SIGNER_CERTIFICATE_MISSING = "signer_certificate_missing", 3
    SIGNER_KEY_UNSUPPORTED = "signer_key_unsupported", 4
    SIGNER_USAGE_INVALID = "signer_usage_invalid", 4
    SIGNER_NAME_MISMATCH = "signer_name_mismatch", 4
    CLOUD_NOT_ALLOWED = "cloud_not_allowed", 4
    ALGORITHM_UNSUPPORTED = "algorithm_unsupported", 5
    SIGNED_ATTRIBUTES_INVALID = "signed_attributes_invalid", 5
    SIGNATURE_INVALID = "signature_invalid", 5
    DOCUMENT_MALFORMED = "document_malformed", 6
    DOCUMENT_FIELD_MISSING = "document_field_missing", 6
    DOCUMENT_NOT_YET_VALID = "document_not_yet_valid", 7
    DOCUMENT_EXPIRED = "document_expired", 7
    DOCUMENT_TOO_OLD = "document_too_old", 7
    DOCUMENT_LIFETIME_INVALID = "document_lifetime_invalid", 7
    NONCE_REQUIRED = "nonce_required", 7
    NONCE_MISMATCH = "nonce_mismatch", 7
    ISSUER_UNKNOWN = "issuer_unknown", 8
    PATH_INVALID = "path_invalid", 8
    CERTIFICATE_EXPIRED = "certificate_expired", 8
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid", 8
    CERTIFICATE_REVOKED = "certificate_revoked", 9
    REVOCATION_UNKNOWN = "revocation_unknown", 9
    SUBSCRIPTION_NOT_ALLOWED = "subscription_not_allowed", 10
    VM_NOT_ALLOWED = "vm_not_allowed", 10
    PLAN_NOT_ALLOWED = "plan_not_allowed", 10
    SKU_NOT_ALLOWED = "sku_not_allowed", 10
    LICENSE_TYPE_NOT_ALLOWED = "license_type_not_allowed", 10
    REGION_NOT_ALLOWED = "region_not_allowed", 10


class AttestError(Exception):
    """Evidence was refused.

    Attributes:
        code: the stable reason.
        step: the number of the step of the verification algorithm that refused (1 to 10).
        detail: one line for a person: what was wrong, with the offending value quoted.
    """

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.step = code.step
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class EvidenceError(AttestError):
    """Step 1: the evidence is not base64, not DER or not IMDS JSON."""


class CmsError(AttestError):
    """Steps 2, 3 and 5: the SignedData is malformed, unsupported, or its signature is bad."""


class SignerError(AttestError):
    """Step 4: the signer certificate is not one that signs for an allowed cloud."""


class DocumentError(AttestError):
    """Step 6: the signed content is not an attested document."""


class FreshnessError(AttestError):
    """Step 7: the document is not valid now, or is not the answer to the nonce."""


class PathError(AttestError):
    """Step 8: no valid path leads from the signer certificate to a pinned anchor."""


class IssuerUnknownError(PathError):
    """Step 8: ``issuer_unknown``; everything before it was good.

    Attributes:
        certificate: the signer certificate, for whoever looks for its issuer.
    """

    def __init__(self, detail: str, certificate: x509.Certificate) -> None:
        super().__init__(Code.ISSUER_UNKNOWN, detail)
        self.certificate = certificate

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the certificate as its DER: cryptography's object cannot be pickled."""
        return _issuer_unknown, (self.detail, self.certificate.public_bytes(Encoding.DER))


class RevocationError(AttestError):
    """Step 9: a certificate of the path is revoked, or nobody can tell."""


class PolicyError(AttestError):
    """Step 10: the document is genuine, and not one that the relying party accepts."""


class TrustStoreError(Exception):
    """The operator's own trust data is damaged; no evidence is to blame."""


def _issuer_unknown(detail: str, certificate: bytes) -> IssuerUnknownError:
    return IssuerUnknownError(detail, x509.load_der_x509_certificate(certificate))


def quote(value: object, *, limit: int = 100) -> str:
    """Render a value that an attacker may have written, for use in a ``detail``.

    Returns:
        About ``limit`` printable ASCII characters at most, on one line, so that evidence can
        forge neither log lines nor terminal sequences.
    """
    if isinstance(value, int) and value.bit_length() > _HUGE_BITS:
        return f"an integer of {value.bit_length()} bits"
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
