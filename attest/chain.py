"""The certificate-chain check by itself: a signer certificate, without a document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from attest.clouds import Cloud, is_host_name
from attest.errors import Code, PathError, SignerError, quote
from attest.path import CertificatePath, IssuerSource, Origin, PathValidator
from attest.policy import Revocation
from attest.result import path_to_list
from attest.revocation import CrlSource, RevocationStatus, check_revocation
from attest.signer import read_signer
from attest.times import in_utc, rfc3339
from attest.trust import TrustStore


@dataclass(frozen=True, slots=True)
class ChainResult:
    """A certificate whose path to a pinned anchor is valid.

    Attributes:
        cloud: the cloud for whose anchors the path was validated.
        name: the host name that the certificate was checked for.
        path: the path, the certificate first, the anchor last.
        checked_at: the time for which the path is valid, in UTC.
        revocation: ``unchecked`` where no CRL was consulted, ``good``, or ``unknown`` where that
            was let pass.
    """

    cloud: Cloud
    name: str
    path: CertificatePath
    checked_at: datetime
    revocation: RevocationStatus = RevocationStatus.UNCHECKED

    def to_dict(self) -> dict[str, object]:
        """Return the result as JSON values."""
        return {
            "valid": True,
            "cloud": str(self.cloud),
            "name": self.name,
            "chain": path_to_list(self.path),
            "checked_at": rfc3339(self.checked_at),
            "valid_from": rfc3339(self.path.not_before),
            "valid_until": rfc3339(self.path.not_after),
            "revocation": str(self.revocation),
        }


def check_chain(
    store: TrustStore,
    certificate: x509.Certificate,
    *,
    at: datetime,
    name: str | None = None,
    cloud: Cloud | None = None,
    untrusted: Iterable[x509.Certificate] = (),
    crls: Iterable[x509.CertificateRevocationList] | CrlSource | None = None,
    revocation: Revocation = Revocation.HARD,
    issuers: IssuerSource | None = None,
) -> ChainResult:
    """Validate the path of a certificate (RFC 5280 section 6), offline unless a source is given.

    Args:
        store: whom to trust.
        certificate: the certificate at the end of the chain.
        at: the time for which to validate, aware.
        name: a host name that it must cover, by default its own metadata name.
        cloud: the cloud whose anchors count, by default the one its names belong to.
        untrusted: CA certificates that may be links of the path.
        crls: CRLs to consult, ``None`` for none; where a collection is given, even an empty
            one, every certificate below the anchor needs a CRL in it, unless ``revocation`` is
            soft.
        revocation: how strictly revocation is checked where CRLs are given.
        issuers: where to look for a CA certificate that is missing, ``None`` for nowhere.

    Raises:
        SignerError: where cloud or name must be derived from the certificate's own names:
            ``signer_name_mismatch`` when they are not Azure's, ``cloud_not_allowed`` when they
            are of another cloud than the one given, ``signer_key_unsupported`` or
            ``signer_usage_invalid`` when it could sign no document.
        PathError: no valid path.
        RevocationError: a certificate is revoked, or a CRL is missing.
        ValueError: ``at`` is not aware.
    """
    at = in_utc(at)
    if name is None or cloud is None:
        own = read_signer(certificate)
        if cloud not in {None, own.cloud}:
            msg = f"the certificate's own names are of the cloud {own.cloud}, not {cloud}"
            raise SignerError(Code.CLOUD_NOT_ALLOWED, msg)
        name, cloud = own.reference if name is None else name, own.cloud
    if "*" in name or not is_host_name(name.lower()):
        msg = f"{quote(name)} is not a host name, so no certificate covers it"
        raise PathError(Code.PATH_INVALID, msg)
    validator = PathValidator(
        store.anchors_for(cloud), store.intermediates_for(cloud), store.operators_for(cloud)
    )
    candidates = dict.fromkeys(untrusted, Origin.OPERATOR)
    path = validator.validate(certificate, name.lower(), at, candidates, issuers)
    return ChainResult(cloud, name, path, at, check_revocation(path, crls, at, revocation))
