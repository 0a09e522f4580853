"""What comes out: the attestation result of a verification, and the findings of an inspection."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime

from attest.certificates import CertificateInfo, describe
from attest.clouds import Cloud
from attest.document import AttestedDocument
from attest.errors import AttestError
from attest.path import CertificatePath, Origin
from attest.revocation import RevocationStatus
from attest.times import rfc3339

# Only certificates of validated paths are kept, never those of the evidence at large.
_describe = functools.lru_cache(maxsize=256)(describe)


@dataclass(frozen=True, slots=True)
class AttestationResult:
    """A verified document (RFC 9334 section 8.4): Azure signed it, and the policy accepts it.

    Attributes:
        cloud: the Azure cloud that signed.
        region: the Azure region, where the signer certificate tells one.
        document: what was signed.
        path: the signer certificate, its issuers and the anchor.
        verified_at: the time for which all of this holds, as the caller gave it, in UTC.
        valid_until: until when the evidence verifies again, but for nonce, policy and CRLs.
        revocation: ``unchecked`` where no CRL was consulted, ``good``, or, under a soft policy,
            ``unknown``.
    """

    cloud: Cloud
    region: str | None
    document: AttestedDocument
    path: CertificatePath
    verified_at: datetime
    valid_until: datetime
    revocation: RevocationStatus = RevocationStatus.UNCHECKED

    @property
    def signer(self) -> CertificateInfo:
        """The signer certificate."""
        return _describe(self.path.certificates[0])

    @property
    def chain(self) -> tuple[CertificateInfo, ...]:
        """Every certificate of the path, the signer's first, the anchor last."""
        return tuple(map(_describe, self.path.certificates))

    def to_dict(self) -> dict[str, object]:
        """Return the result as JSON values: snake_case keys, times in RFC 3339, UTC."""
        return {
            "verified": True,
            "cloud": str(self.cloud),
            "region": self.region,
            "document": document_to_dict(self.document),
            "signer": certificate_to_dict(self.signer),
            "chain": path_to_list(self.path),
            "verified_at": rfc3339(self.verified_at),
            "valid_until": rfc3339(self.valid_until),
            "revocation": str(self.revocation),
        }


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How one step of the algorithm went.

    Attributes:
        step: its number, 1 to 10.
        title: its name.
        status: ``passed``, ``failed`` or ``skipped``.
        detail: what was found, or why it failed or could not run.
        code: why it failed.
    """

    step: int
    title: str
    status: str
    detail: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that evidence says, and how each step went.  Not a verdict, nothing is verified.

    Attributes:
        steps: the ten steps, in order.
        unverified_document: the document, if it could be parsed; whoever made the evidence
            wrote it.
        certificates: the certificates of the bag that could be parsed, in its order.
        path: the validated path, if step 8 found one.
    """

    steps: tuple[StepOutcome, ...]
    unverified_document: AttestedDocument | None
    certificates: tuple[CertificateInfo, ...]
    path: CertificatePath | None

    def to_dict(self) -> dict[str, object]:
        """Return the findings as JSON values."""
        document = self.unverified_document
        return {
            "steps": [
                {
                    "step": outcome.step,
                    "title": outcome.title,
                    "status": outcome.status,
                    "code": outcome.code,
                    "detail": outcome.detail,
                }
                for outcome in self.steps
            ],
            "unverified_document": None if document is None else document_to_dict(document),
            "certificates": [certificate_to_dict(info) for info in self.certificates],
            "chain": None if self.path is None else path_to_list(self.path),
        }


def rejection_to_dict(error: AttestError, verdict: str = "verified") -> dict[str, object]:
    """Return a refusal as JSON values; ``verdict`` names the member that says no."""
    return {
        verdict: False,
        "code": str(error.code),
        "step": error.step,
        "detail": error.detail,
    }


def document_to_dict(document: AttestedDocument) -> dict[str, object]:
    """Return a document as JSON values; ``null`` where a field does not apply."""
    plan = document.plan
    return {
        "vm_id": str(document.vm_id),
        "subscription_id": document.subscription_id,
        "sku": document.sku,
        "license_type": document.license_type,
        "plan": None
        if plan is None
        else {"name": plan.name, "product": plan.product, "publisher": plan.publisher},
        "nonce": document.nonce,
        "created_on": None if document.created_on is None else rfc3339(document.created_on),
        "expires_on": None if document.expires_on is None else rfc3339(document.expires_on),
        "extra": dict(document.extra),
    }


def path_to_list(path: CertificatePath) -> list[dict[str, object]]:
    """Return a path as JSON values, signer certificate first."""
    links = zip(path.certificates, path.origins, strict=True)
    return [certificate_to_dict(_describe(certificate), origin) for certificate, origin in links]


def certificate_to_dict(info: CertificateInfo, origin: Origin | None = None) -> dict[str, object]:
    """Return a certificate's description as JSON values."""
    values: dict[str, object] = {
        "subject": info.subject,
        "issuer": info.issuer,
        "serial_number": info.serial_number,
        "sha256": info.sha256,
        "not_before": rfc3339(info.not_before),
        "not_after": rfc3339(info.not_after),
        "dns_names": list(info.dns_names),
    }
    return values if origin is None else {**values, "origin": str(origin)}
