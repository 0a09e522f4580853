"""Sign test documents exactly as Azure does, and forge them: for tests, never for trust.

The pinned trust store rejects everything that is made here.
"""

from attest.testing.authority import DEFAULT_BASE_URL, FakeAuthority
from attest.testing.document import DocumentFields, FakeDocument, PlanLike
from attest.testing.evidence import FakeSigner, SignedEvidence, imds_json
from attest.testing.keys import Digest
from attest.testing.pki import CertificationAuthority, Validity
from attest.testing.shapes import Shape
from attest.testing.signers import SignerOptions

__all__ = [
    "DEFAULT_BASE_URL",
    "CertificationAuthority",
    "Digest",
    "DocumentFields",
    "FakeAuthority",
    "FakeDocument",
    "FakeSigner",
    "PlanLike",
    "Shape",
    "SignedEvidence",
    "SignerOptions",
    "Validity",
    "imds_json",
]
