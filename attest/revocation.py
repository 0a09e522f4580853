"""Step 9: revocation on the path that step 8 built, by CRLs and as strictly as the policy says."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from cryptography import x509

from attest.crl_set import CrlSet
from attest.errors import Code, RevocationError
from attest.path import CertificatePath
from attest.policy import Revocation


class RevocationStatus(enum.StrEnum):
    """What an attestation result says of revocation; for "revoked" there is no result."""

    UNCHECKED = "unchecked"
    GOOD = "good"
    UNKNOWN = "unknown"


class CrlSource(Protocol):
    """Where the CRLs for a path come from."""

    def crls_for(self, path: CertificatePath, at: datetime) -> CrlSet:
        """Return the CRLs to consult for a path that step 8 found valid at ``at``.

        To return the same set for the same path as long as nothing changes lets its verdicts
        be used again.  Raises nothing: a CRL that cannot be had is not in the set.
        """
        ...


def check_revocation(
    path: CertificatePath,
    crls: Iterable[x509.CertificateRevocationList] | CrlSource | None,
    at: datetime,
    revocation: Revocation = Revocation.HARD,
) -> RevocationStatus:
    """Step 9: refuse a path of which a certificate, the anchor aside, is revoked at ``at``.

    Args:
        path: the validated path.
        crls: the CRLs to consult, or what gives them; ``None`` for none.
        at: the time of verification, aware; each CRL must be current then.
        revocation: what the policy says of a certificate that no CRL speaks for.

    Returns:
        ``unchecked`` where no CRLs are given or the policy is ``off``, ``good`` where a CRL
        says of each certificate that it is not revoked, ``unknown`` where a soft policy lets
        a path pass of which that cannot be said.

    Raises:
        RevocationError: ``certificate_revoked``, or ``revocation_unknown`` under a hard policy.
    """
    if crls is None or revocation is Revocation.OFF:
        return RevocationStatus.UNCHECKED
    source = CrlSet(crls) if isinstance(crls, Iterable) else crls
    try:
        source.crls_for(path, at).check(path, at)
    except RevocationError as error:
        if error.code is Code.REVOCATION_UNKNOWN and revocation is Revocation.SOFT:
            return RevocationStatus.UNKNOWN
        raise
    return RevocationStatus.GOOD
