"""What a document that was asked for just now tells of the state of trust.

Unlike a verification it explains: whose clock is wrong, which certificate ends first, which one is
missing, and what to do.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from attest import cms
from attest.certificates import is_issued_by
from attest.clouds import Cloud
from attest.document import AttestedDocument
from attest.errors import AttestError, Code, IssuerUnknownError
from attest.evidence import decode_evidence
from attest.extensions import ca_issuers
from attest.hosts import ISSUER_HOSTS, HostRules, RefusedUrlError
from attest.lifetimes import ca_lifetimes, outlook
from attest.path import CertificatePath, IssuerSource, Origin
from attest.policy import AppraisalPolicy
from attest.signer import Signer, load_certificate, read_signer
from attest.times import in_utc
from attest.trust import TrustStore
from attest.verifier import Evidence, Verifier

# What the service grants by default; a clock that is further off is the first thing to repair.
SKEW = timedelta(seconds=120)
CLOCK_TOLERANCE = timedelta(seconds=10)
_MAX_URLS = 4


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How a fresh document fares, and for how long its like will.

    Attributes:
        checked_at: the local time when the document came, in UTC.
        error: why it was refused, ``None`` where it verifies.
        document: the document; verified only where there is no error.
        signer: the signer, where the evidence names one of an Azure cloud.
        path: the path, if step 8 finds one.
        clock_ahead: about how far this machine's clock is ahead of Azure's, ``None`` where the
            document is not the answer to the nonce, or has no time.
        issuer_until: until when the key that issued the signer certificate leads to an anchor.
        is_newest: whether that key is of the newest generation in the store.
        may_fetch: whether a missing issuer was looked for in the network.
    """

    checked_at: datetime
    error: AttestError | None
    document: AttestedDocument | None
    signer: Signer | None
    path: CertificatePath | None
    clock_ahead: timedelta | None
    issuer_until: datetime | None
    is_newest: bool
    may_fetch: bool

    @property
    def ends_first(self) -> x509.Certificate | None:
        """The CA certificate of the path that ends first; signers are renewed by Azure itself."""
        if self.path is None or len(self.path.certificates) == 1:
            return None
        return min(self.path.certificates[1:], key=lambda c: c.not_valid_after_utc)

    @property
    def issuer_origin(self) -> Origin | None:
        """Where the issuer of the signer certificate came from."""
        return None if self.ends_first is None or self.path is None else self.path.origins[1]

    @property
    def missing_issuer(self) -> str | None:
        """The issuer (RFC 4514) of which no certificate was found."""
        unknown = self._unknown
        return None if unknown is None else unknown.issuer.rfc4514_string()

    @property
    def missing_urls(self) -> tuple[str, ...]:
        """Where the missing issuer's certificate is said to be."""
        unknown = self._unknown
        return () if unknown is None else ca_issuers(unknown)[:_MAX_URLS]

    @property
    def _unknown(self) -> x509.Certificate | None:
        return self.error.certificate if isinstance(self.error, IssuerUnknownError) else None

    def ends_within(self, days: int) -> bool:
        """Tell whether documents of this issuer stop verifying within so many days."""
        end = self.issuer_until
        return end is not None and end - self.checked_at < timedelta(days=days)

    def advice(self, warn_days: int) -> list[str]:
        """Return what to do next, in sentences; empty where all is well."""
        return [*self._about_clock(), *self._about_refusal(), *self._about_issuer(warn_days)]

    def commands(self) -> list[str]:
        """Return the commands that heal a missing issuer, for a shell.

        Only hosts of issuers are named in them: the URLs are whoever's made the document.
        """
        if self._unknown is None:
            return []
        rules = HostRules(ISSUER_HOSTS)
        commands = [] if self.may_fetch else ["attest doctor --fetch-issuers"]
        # The service may have met the issuer by another signer, so that ours tells it nothing.
        commands += ["attest trust pending", "attest trust approve FINGERPRINT"]
        for url in self.missing_urls:
            with contextlib.suppress(RefusedUrlError):
                rules.target(url)
                commands += [
                    f"curl -sSfo issuer.crt {shlex.quote(url)}",
                    "attest trust add issuer.crt --dir FOLDER",
                ]
                break
        return commands

    def _about_clock(self) -> list[str]:
        ahead = self.clock_ahead
        if ahead is None or abs(ahead) <= CLOCK_TOLERANCE:
            return []
        return ["Set this machine's clock (chronyd, systemd-timesyncd): verifiers compare it."]

    def _about_refusal(self) -> list[str]:
        if self.error is None:
            return []
        return [_ADVICE.get(self.error.code, "See each step: attest fetch | attest inspect")]

    def _about_issuer(self, warn_days: int) -> list[str]:
        advice = []
        if self.issuer_origin is Origin.FETCHED:
            advice.append(
                "Update imds-attest, or add the issuer to a trust folder (attest trust add): "
                "verifiers that may not fetch refuse this VM's documents."
            )
        elif self.issuer_origin is Origin.EVIDENCE:
            advice.append(
                "Update imds-attest: the issuer came with the evidence, which Azure need not do."
            )
        if self.ends_within(warn_days):
            advice.append("Update imds-attest before that day; attest trust check tells more.")
        return advice


_ADVICE = {
    Code.ISSUER_UNKNOWN: "Update imds-attest: a new release may pin the issuer.  Or add it, on the "
    "service's host (approve) or by hand (add); both demand a path to a pinned anchor.",
    Code.NONCE_MISMATCH: "The endpoint gave an earlier document: ask again in some minutes.",
    Code.DOCUMENT_NOT_YET_VALID: "The document is from the future: this machine's clock is slow.",
    Code.DOCUMENT_EXPIRED: "The document is old: this machine's clock is fast, or IMDS is.",
    Code.CLOUD_NOT_ALLOWED: "This VM is of another cloud: name it with --cloud.",
    Code.CERTIFICATE_EXPIRED: "Update imds-attest: a certificate of the path has ended.",
}


def diagnose(
    store: TrustStore,
    evidence: Evidence,
    *,
    at: datetime,
    nonce: str,
    clouds: Collection[Cloud],
    issuers: IssuerSource | None = None,
) -> Diagnosis:
    """Verify a document that was just received, and explain the outcome.

    Args:
        store: whom to trust.
        evidence: the evidence.
        at: when it came by the local clock, aware.
        nonce: the fresh nonce that it was asked for with.
        clouds: the clouds whose signers are accepted.
        issuers: where to look for a missing issuer, ``None`` for nowhere.

    Raises:
        TypeError: the evidence is neither str, bytes nor a mapping.
        ValueError: ``at`` is not aware.
    """
    at = in_utc(at)
    verifier = Verifier(store, AppraisalPolicy(clouds=clouds, skew=SKEW), issuers=issuers)
    signer = _signer(evidence)
    try:
        result = verifier.verify(evidence, at=at, nonce=nonce)
    except AttestError as refusal:
        inspection = verifier.inspect(evidence, at=at, nonce=nonce)
        error: AttestError | None = refusal
        document, path = inspection.unverified_document, inspection.path
    else:
        error, document, path = None, result.document, result.path
    until, is_newest = _issuer_outlook(store, signer, path, at)
    return Diagnosis(
        checked_at=at,
        error=error,
        document=document,
        signer=signer,
        path=path,
        clock_ahead=_clock_ahead(document, nonce, at),
        issuer_until=until,
        is_newest=is_newest,
        may_fetch=issuers is not None,
    )


def _signer(evidence: Evidence) -> Signer | None:
    try:
        signed_data = cms.parse_signed_data(decode_evidence(evidence))
        return read_signer(load_certificate(cms.select_signer(signed_data)))
    except AttestError:
        return None


def _clock_ahead(document: AttestedDocument | None, nonce: str, at: datetime) -> timedelta | None:
    if document is None or document.created_on is None or document.nonce != nonce:
        return None
    return at - document.created_on


def _issuer_outlook(
    store: TrustStore, signer: Signer | None, path: CertificatePath | None, at: datetime
) -> tuple[datetime | None, bool]:
    """Return the end of the last path through the issuer's key, and whether it is a newest one.

    The path that was found may be the shorter one of two, through a cross-signed certificate.
    """
    if signer is None or path is None or len(path.certificates) == 1:
        return None, False
    lifetimes = ca_lifetimes(store, signer.cloud)
    found = outlook(lifetimes, at)
    newest = () if found is None else found.newest
    ends = [min(c.not_valid_after_utc for c in path.certificates[1:])]
    issuing = [k for k in lifetimes if is_issued_by(signer.certificate, k.certificates[0])]
    ends += [key.live_until for key in issuing]
    return max(ends), any(key in newest for key in issuing)
