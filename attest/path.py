"""Step 8: path validation (RFC 5280 section 6) to a pinned anchor.

cryptography's verifier searches the paths and checks them against its Web PKI profile; this
module decides what it may search, and says in our codes why it found nothing.  Only certificates
that a chain of signatures connects to the anchors are candidates, so the search never sees a
graph that an attacker drew.  docs/adr/0001 says why OpenSSL is no second judge here.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn, Protocol

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

from attest.certificates import common_name, is_issued_by, issued_under
from attest.errors import Code, IssuerUnknownError, PathError, quote
from attest.extensions import authority_key_identifier, subject_key_identifier

# CA certificates between the signer certificate and the anchor; Azure's longest path has two.
MAX_DEPTH = 4

# What another CA certificate may cure, if the signer's own dates are right.
_CURABLE = frozenset(
    {Code.ISSUER_UNKNOWN, Code.CERTIFICATE_EXPIRED, Code.CERTIFICATE_NOT_YET_VALID}
)


class Origin(enum.StrEnum):
    """Where a certificate of a path came from."""

    EVIDENCE = "evidence"
    PINNED = "pinned"
    OPERATOR = "operator"
    FETCHED = "fetched"


class IssuerSource(Protocol):
    """Finds CA certificates that are missing from a path; :mod:`attest.issuers` has one."""

    def candidates(
        self, certificate: x509.Certificate, trusted: Sequence[x509.Certificate]
    ) -> Sequence[x509.Certificate]:
        """Find CA certificates upwards from a certificate, until trusted ones have issued one.

        Args:
            certificate: the signer certificate.
            trusted: certificates at which the search may end; what is found never joins them.

        Returns:
            Candidates for the path, of no trust of their own; empty where none was found,
            whatever the reason.
        """
        ...


@dataclass(frozen=True, slots=True)
class CertificatePath:
    """A validated path.

    Attributes:
        certificates: the signer certificate first, the anchor last.
        origins: where each of them came from, in the same order.
        not_before: the latest start of validity in the path, in UTC.
        not_after: the earliest end of validity in the path, in UTC.
    """

    certificates: tuple[x509.Certificate, ...]
    origins: tuple[Origin, ...]
    not_before: datetime
    not_after: datetime

    def covers(self, at: datetime) -> bool:
        """Tell whether every certificate of the path is valid at ``at`` (whole seconds)."""
        return self.not_before <= at.replace(microsecond=0) <= self.not_after


class PathValidator:
    """Validates paths to one cloud's anchors.  Immutable, and so safe to share among threads."""

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        intermediates: Sequence[x509.Certificate],
        operator: Collection[x509.Certificate] = (),
    ) -> None:
        """Prepare the part of every search that the trust store gives.

        Args:
            anchors: the trust anchors; every path ends at one of them.
            intermediates: CA certificates of the store that :func:`issued_under` connects to
                these anchors.
            operator: those of both that the operator added; the others are pinned.
        """
        self._anchors = tuple(anchors)
        self._intermediates = tuple(intermediates)
        self._operator = frozenset(operator)
        self._store = Store(list(anchors)) if anchors else None

    def validate(
        self,
        certificate: x509.Certificate,
        reference: str,
        at: datetime,
        candidates: Mapping[x509.Certificate, Origin],
        issuers: IssuerSource | None = None,
    ) -> CertificatePath:
        """Find a valid path from a signer certificate to an anchor.

        Args:
            certificate: the signer certificate.
            reference: a host name that its subjectAltName must cover (RFC 6125).
            at: the time of validation, aware.
            candidates: further CA certificates and where they came from; never anchors.
            issuers: where to look for more of them, when a CA certificate is missing or not
                valid at that time.  Where that gives no path either, the refusal is the one
                that there would have been without.

        Raises:
            IssuerUnknownError: ``issuer_unknown``.
            PathError: ``path_invalid``, ``certificate_expired`` or
                ``certificate_not_yet_valid``.
        """
        at = at.replace(microsecond=0)
        try:
            return self._find(certificate, reference, at, candidates)
        except PathError as refusal:
            if issuers is None or refusal.code not in _CURABLE or not _covers(certificate, at):
                raise
            fetched = issuers.candidates(certificate, self._trusted_at(at))
            if not fetched:
                raise
            more = {**dict.fromkeys(fetched, Origin.FETCHED), **candidates}
            with contextlib.suppress(PathError):
                return self._find(certificate, reference, at, more)
            raise

    def _trusted_at(self, at: datetime) -> list[x509.Certificate]:
        """Return the anchors that are valid, and what valid certificates connect to them."""
        anchors = [anchor for anchor in self._anchors if _covers(anchor, at)]
        links = [link for link in self._intermediates if _covers(link, at)]
        return [*anchors, *issued_under(anchors, links)]

    def _find(
        self,
        certificate: x509.Certificate,
        reference: str,
        at: datetime,
        candidates: Mapping[x509.Certificate, Origin],
    ) -> CertificatePath:
        pinned = (*self._anchors, *self._intermediates)
        extra = issued_under(pinned, (c for c in candidates if c != certificate))
        try:
            chain = self._search(certificate, reference, at, extra)
        except VerificationError as error:
            self._explain(certificate, reference, at, extra, error)
        return self._make_path(chain, candidates)

    def _search(
        self,
        certificate: x509.Certificate,
        reference: str,
        at: datetime,
        extra: Sequence[x509.Certificate],
    ) -> list[x509.Certificate]:
        if self._store is None:
            msg = "no anchor is pinned for this cloud"
            raise VerificationError(msg)
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(at)
            .max_chain_depth(MAX_DEPTH)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_SIGNER_POLICY)
            .build_server_verifier(x509.DNSName(reference))
        )
        return verifier.verify(certificate, [*self._intermediates, *extra])

    def _explain(
        self,
        certificate: x509.Certificate,
        reference: str,
        at: datetime,
        extra: Sequence[x509.Certificate],
        error: VerificationError,
    ) -> NoReturn:
        _refuse_if_outside(certificate, at)
        _refuse_if_unissued(certificate, (*self._anchors, *self._intermediates, *extra))
        # A path that holds at another time of the signer's life fails for a date above it.
        for moment in (certificate.not_valid_before_utc, certificate.not_valid_after_utc):
            try:
                chain = self._search(certificate, reference, moment, extra)
            except VerificationError:
                continue
            for link in chain[1:]:
                _refuse_if_outside(link, at)
        raise PathError(Code.PATH_INVALID, quote(str(error), limit=300)) from None

    def _make_path(
        self, chain: Iterable[x509.Certificate], candidates: Mapping[x509.Certificate, Origin]
    ) -> CertificatePath:
        certificates = tuple(dict.fromkeys(chain))
        links = [candidates.get(c, self._origin(c)) for c in certificates[1:-1]]
        # An anchor comes from the store, whoever sent a copy of it; the signer with the evidence.
        origins = (Origin.EVIDENCE, *links, self._origin(certificates[-1]))
        return CertificatePath(
            certificates=certificates,
            origins=origins[-len(certificates) :],
            not_before=max(c.not_valid_before_utc for c in certificates),
            not_after=min(c.not_valid_after_utc for c in certificates),
        )

    def _origin(self, certificate: x509.Certificate) -> Origin:
        return Origin.OPERATOR if certificate in self._operator else Origin.PINNED


def _covers(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _refuse_if_outside(certificate: x509.Certificate, at: datetime) -> None:
    who = quote(common_name(certificate.subject))
    if at < certificate.not_valid_before_utc:
        msg = f"{who} is valid from {certificate.not_valid_before_utc.isoformat()}"
        raise PathError(Code.CERTIFICATE_NOT_YET_VALID, msg) from None
    if at > certificate.not_valid_after_utc:
        msg = f"{who} expired on {certificate.not_valid_after_utc.isoformat()}"
        raise PathError(Code.CERTIFICATE_EXPIRED, msg) from None


def _refuse_if_unissued(certificate: x509.Certificate, issuers: Sequence[x509.Certificate]) -> None:
    namesakes = [issuer for issuer in issuers if issuer.subject == certificate.issuer]
    if any(is_issued_by(certificate, issuer) for issuer in namesakes):
        return
    issuer_name = quote(certificate.issuer.rfc4514_string(), limit=300)
    wanted = authority_key_identifier(certificate)
    if namesakes and (wanted is None or wanted in map(subject_key_identifier, namesakes)):
        msg = f"{issuer_name} is known, and its key did not sign this certificate"
        raise PathError(Code.PATH_INVALID, msg) from None
    msg = f"no certificate of the issuer {issuer_name} leads to a pinned anchor"
    raise IssuerUnknownError(msg, certificate) from None


def _require_server_auth(
    _policy: Policy, _certificate: x509.Certificate, usages: x509.ExtendedKeyUsage
) -> None:
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        msg = "extendedKeyUsage does not hold serverAuth"
        raise ValueError(msg)


_SIGNER_POLICY = ExtensionPolicy.webpki_defaults_ee().require_present(
    x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _require_server_auth
)
# By default a CA's extendedKeyUsage may be absent, or hold serverAuth or anyExtendedKeyUsage.
_CA_POLICY = ExtensionPolicy.webpki_defaults_ca()
