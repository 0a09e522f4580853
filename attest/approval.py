"""May these CA certificates be added to the operator's links?  Only with a proven path.

An added link carries no trust of its own: every path through it is validated anew for every
document, to an anchor that was there before.  What is proven here spares the operator a link that
leads nowhere, and shows which anchor would vouch for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from attest import cms
from attest.certificates import common_name, is_ca, is_self_issued, issued_under
from attest.chain import check_chain
from attest.clouds import Cloud
from attest.document import parse_document
from attest.errors import AttestError, quote
from attest.evidence import decode_evidence
from attest.path import MAX_DEPTH, CertificatePath, IssuerSource, Origin
from attest.times import in_utc, rfc3339
from attest.trust import TrustStore

MAX_CERTIFICATES = 64


class ApprovalError(Exception):
    """Nothing can be added; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class ProvenPath:
    """A path that certificates complete to an anchor of the store.

    Attributes:
        cloud: the cloud whose anchor it is.
        path: the path; what is missing has the origin ``operator`` or ``fetched``.
        missing: the CA certificates of it that the store lacks, the one next to the anchor first.
        proven_at: the time for which the path is valid, in UTC.
    """

    cloud: Cloud
    path: CertificatePath
    missing: tuple[x509.Certificate, ...]
    proven_at: datetime


def prove_signer(
    store: TrustStore,
    signer: x509.Certificate,
    candidates: Iterable[x509.Certificate],
    *,
    now: datetime,
    evidence: str | None = None,
    issuers: IssuerSource | None = None,
) -> ProvenPath:
    """Prove that candidates complete the path of a signer certificate (RFC 5280 section 6).

    Args:
        store: whom to trust.
        signer: the signer certificate whose issuer is unknown.
        candidates: CA certificates from anywhere.
        now: the time, aware; the path is proven for it unless the signer has expired.
        evidence: what the signer signed.  Where the signer has expired, the path is proven for
            the time at which that was created; the CA certificates must be valid now.
        issuers: where to look for candidates that are still missing.

    Raises:
        ApprovalError: there is no valid path, or one of the missing certificates has expired.
        ValueError: ``now`` is not aware.
    """
    now = in_utc(now)
    try:
        at = _time_of_proof(signer, now, evidence)
        result = check_chain(store, signer, at=at, untrusted=candidates, issuers=issuers)
    except AttestError as error:
        raise ApprovalError(str(error)) from None
    known = {*store.intermediates_for(result.cloud), *store.anchors_for(result.cloud)}
    missing = tuple(c for c in reversed(result.path.certificates[1:]) if c not in known)
    for certificate in missing:
        _refuse_if_expired(certificate, now)
    return ProvenPath(result.cloud, result.path, missing, at)


def prove_intermediates(
    store: TrustStore, certificates: Sequence[x509.Certificate], *, now: datetime
) -> list[ProvenPath]:
    """Prove for each certificate that it is a CA's and that a path leads to an anchor.

    Args:
        store: whom to trust.
        certificates: what is to be added; one may be the link to another.
        now: the time, aware.  A certificate that is not valid yet is proven for its first second.

    Returns:
        The path of each, in the order of ``certificates``.

    Raises:
        ApprovalError: one of them is self-signed, no CA's, expired, or not connected; or there
            are none, or more than :data:`MAX_CERTIFICATES`.
        ValueError: ``now`` is not aware.
    """
    now = in_utc(now)
    if not certificates:
        raise ApprovalError("there is no certificate to add")
    if len(certificates) > MAX_CERTIFICATES:
        msg = f"{len(certificates)} certificates; at most {MAX_CERTIFICATES} are added at once"
        raise ApprovalError(msg)
    return [_prove_one(store, certificate, certificates, now) for certificate in certificates]


def _prove_one(
    store: TrustStore,
    certificate: x509.Certificate,
    candidates: Iterable[x509.Certificate],
    now: datetime,
) -> ProvenPath:
    who = quote(common_name(certificate.subject))
    if is_self_issued(certificate):
        raise ApprovalError(f"{who} is self-signed: a root, which is never added as a link")
    if not is_ca(certificate):
        raise ApprovalError(f"{who} is not the certificate of a CA")
    _refuse_if_expired(certificate, now)
    at = max(now, certificate.not_valid_before_utc)
    reasons = []
    for cloud in Cloud:
        try:
            chain = _search(store, cloud, certificate, candidates, at)
        except VerificationError as error:
            reasons.append(str(error))
            continue
        known = {*store.intermediates_for(cloud), *store.anchors_for(cloud)}
        missing = tuple(c for c in reversed(chain) if c not in known)
        return ProvenPath(cloud, _make_path(store, cloud, chain), missing, at)
    why = next((reason for reason in reasons if reason), "no chain of signatures leads to one")
    raise ApprovalError(f"no path leads from {who} to a pinned anchor: {quote(why, limit=300)}")


def _search(
    store: TrustStore,
    cloud: Cloud,
    certificate: x509.Certificate,
    candidates: Iterable[x509.Certificate],
    at: datetime,
) -> list[x509.Certificate]:
    """Validate a path as :mod:`attest.path` does, for a certificate that is itself a CA's.

    It covers no host name, so cryptography must think of it as a client's.
    """
    anchors, links = store.anchors_for(cloud), store.intermediates_for(cloud)
    connected = issued_under((*anchors, *links), candidates)
    if certificate not in (*links, *connected):
        raise VerificationError("")
    verifier = (
        PolicyBuilder()
        .store(Store(list(anchors)))
        .time(at.replace(microsecond=0))
        .max_chain_depth(MAX_DEPTH - 1)
        .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LINK_POLICY)
        .build_client_verifier()
    )
    chain = list(dict.fromkeys(verifier.verify(certificate, [*links, *connected]).chain))
    for below, issuer in enumerate(chain[1:], start=1):
        _refuse_path_length(issuer, below)
    return chain


def _refuse_path_length(issuer: x509.Certificate, below: int) -> None:
    """Count the CA at the end of the path as a link too: it is to issue signers."""
    constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    if constraints.path_length is not None and constraints.path_length < below:
        raise VerificationError(f"{common_name(issuer.subject)} may issue no further CA")


def _make_path(
    store: TrustStore, cloud: Cloud, chain: Sequence[x509.Certificate]
) -> CertificatePath:
    pinned = {*store.anchors_for(cloud), *store.intermediates_for(cloud)}
    pinned -= store.operators_for(cloud)
    return CertificatePath(
        certificates=tuple(chain),
        origins=tuple(Origin.PINNED if c in pinned else Origin.OPERATOR for c in chain),
        not_before=max(c.not_valid_before_utc for c in chain),
        not_after=min(c.not_valid_after_utc for c in chain),
    )


def _time_of_proof(signer: x509.Certificate, now: datetime, evidence: str | None) -> datetime:
    if now <= signer.not_valid_after_utc or evidence is None:
        return now
    content = cms.parse_signed_data(decode_evidence(evidence)).content
    return parse_document(content).created_on or signer.not_valid_after_utc


def _allow_server_auth(
    _policy: Policy, _certificate: x509.Certificate, usages: x509.ExtendedKeyUsage | None
) -> None:
    allowed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usages is not None and allowed.isdisjoint(usages):
        raise ValueError("a CA's extendedKeyUsage does not allow serverAuth")


# As for signers: the purpose of a path is a server's, whatever cryptography calls its end.
_CA_POLICY, _LINK_POLICY = (
    policy.may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _allow_server_auth)
    for policy in (ExtensionPolicy.webpki_defaults_ca(), ExtensionPolicy.permit_all())
)


def _refuse_if_expired(certificate: x509.Certificate, now: datetime) -> None:
    if certificate.not_valid_after_utc < now:
        who = quote(common_name(certificate.subject))
        raise ApprovalError(f"{who} expired on {rfc3339(certificate.not_valid_after_utc)}")
