"""Verify Azure IMDS attested documents: the public names of the verification core."""

from attest.chain import ChainResult, check_chain
from attest.clouds import Cloud
from attest.crl_set import CrlSet
from attest.document import AttestedDocument, Plan
from attest.errors import (
    AttestError,
    CmsError,
    Code,
    DocumentError,
    EvidenceError,
    FreshnessError,
    IssuerUnknownError,
    PathError,
    PolicyError,
    RevocationError,
    SignerError,
    TrustStoreError,
)
from attest.path import IssuerSource
from attest.policy import AppraisalPolicy, Revocation
from attest.result import AttestationResult, Inspection, StepOutcome
from attest.revocation import CrlSource, RevocationStatus
from attest.trust import Intermediate, TrustAnchor, TrustStore
from attest.verifier import Verifier

__all__ = [
    "AppraisalPolicy",
    "AttestError",
    "AttestationResult",
    "AttestedDocument",
    "ChainResult",
    "Cloud",
    "CmsError",
    "Code",
    "CrlSet",
    "CrlSource",
    "DocumentError",
    "EvidenceError",
    "FreshnessError",
    "Inspection",
    "Intermediate",
    "IssuerSource",
    "IssuerUnknownError",
    "PathError",
    "Plan",
    "PolicyError",
    "Revocation",
    "RevocationError",
    "RevocationStatus",
    "SignerError",
    "StepOutcome",
    "TrustAnchor",
    "TrustStore",
    "TrustStoreError",
    "Verifier",
    "check_chain",
]
