"""CRLs that are consulted together, and what they say of a path (RFC 5280 section 6.3).

OpenSSL, through pyOpenSSL, reads the CRLs: scopes, partitions and reasons are its trade.  It is
given one link of a path at a time, with CRLs that are current and that the issuer signed, and it
fails closed: a certificate that none of them speaks for is ``revocation_unknown``.

A verdict depends on the path, on the CRLs, and on time through the dates of these alone.  A
:class:`CrlSet` therefore keeps it between two such dates; another set knows nothing of it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import crypto

from attest.cache import BoundedCache
from attest.certificates import UNREADABLE, common_name
from attest.errors import Code, RevocationError, quote
from attest.path import CertificatePath

DEFAULT_CACHE_SIZE = 1024
_ISSUER_CACHE_SIZE = 8  # certificates of one CA: its renewals and cross-signs
_CERTIFICATE_REVOKED = 23  # X509_V_ERR_CERT_REVOKED
_CRL_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_SECOND = timedelta(seconds=1)
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a set of CRLs says of a path, for as long as none of the dates involved passes.

    Attributes:
        path: the path.
        not_before: from when the verdict holds, included.
        not_after: until when it holds, excluded.
        code: ``certificate_revoked``, ``revocation_unknown``, or ``None`` for good.
        detail: one line for a person that explains the code.
    """

    path: CertificatePath
    not_before: datetime
    not_after: datetime
    code: Code | None = None
    detail: str = ""


class CrlSet:
    """CRLs that are consulted together.

    Immutable but for what it remembers: which key signed which CRL, and a bounded number of
    verdicts.  Safe to share among threads.  It is a source of itself.
    """

    def __init__(
        self,
        crls: Iterable[x509.CertificateRevocationList] = (),
        *,
        cache_size: int = DEFAULT_CACHE_SIZE,
    ) -> None:
        """Sort CRLs by issuer.

        Args:
            crls: those that cannot be read, are signed with SHA-1 or MD5, or lack the mandatory
                nextUpdate (RFC 5280 section 5.1.2.5) are not consulted.
            cache_size: how many verdicts are remembered, at least 1.

        Raises:
            ValueError: the cache size is less than 1.
        """
        self._crls = tuple(crl for crl in map(_read, crls) if crl is not None)
        self._by_issuer = _sort(self._crls)
        self._cache_size = cache_size
        self._verdicts = BoundedCache[int, Verdict](cache_size)

    def __len__(self) -> int:
        """Return how many CRLs can be consulted."""
        return len(self._crls)

    def __or__(self, other: CrlSet) -> CrlSet:
        """Return a set of the CRLs of both; what is known of their signatures stays known."""
        union = CrlSet(cache_size=self._cache_size)
        union._crls = tuple(dict.fromkeys(self._crls + other._crls))
        union._by_issuer = _sort(union._crls)
        return union

    def crls_for(self, path: CertificatePath, at: datetime) -> CrlSet:  # noqa: ARG002 - protocol
        """Return this set: it is the same for every path."""
        return self

    def check(self, path: CertificatePath, at: datetime) -> None:
        """Refuse a path of which a certificate, the anchor aside, is revoked at ``at``.

        Args:
            path: the validated path.
            at: the time of verification, aware; each CRL must be current then.

        Raises:
            RevocationError: ``certificate_revoked``, or ``revocation_unknown`` when a
                certificate of the path has no CRL that is current and properly signed.
        """
        verdict = self.verdict(path, at)
        if verdict.code is not None:
            raise RevocationError(verdict.code, verdict.detail)

    def verdict(self, path: CertificatePath, at: datetime) -> Verdict:
        """Tell what :meth:`check` finds."""
        # By identity: to hash a path is to hash its certificates, which takes longer than all
        # else here.  The verdict holds the path, so that no other one gets the same id.
        known = self._verdicts.get(id(path))
        if known is not None and known.path is path and known.not_before <= at < known.not_after:
            return known
        verdict = self._judge(path, at)
        self._verdicts.put(id(path), verdict)
        return verdict

    def speaks_for(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> bool:
        """Tell whether a CRL says that a certificate is revoked, or that it is not."""
        return self._judge_link(certificate, issuer, at)[0] is not Code.REVOCATION_UNKNOWN

    def _judge(self, path: CertificatePath, at: datetime) -> Verdict:
        links = list(itertools.pairwise(path.certificates))
        findings = [self._judge_link(*link, at) for link in links]
        # One that is revoked decides, whatever is unknown beside it.
        for code in (Code.CERTIFICATE_REVOKED, Code.REVOCATION_UNKNOWN):
            for finding in findings:
                if finding[0] is code:
                    return Verdict(path, *self._window(path, at), *finding)
        return Verdict(path, *self._window(path, at))

    def _window(self, path: CertificatePath, at: datetime) -> tuple[datetime, datetime]:
        dates = [*_EVER, path.not_before, path.not_after + _SECOND]
        for issuer in path.certificates[1:]:
            for crl in self._by_issuer.get(issuer.subject, ()):
                dates += (crl.this_update, crl.next_update)
        return max(d for d in dates if d <= at), min(d for d in dates if d > at)

    def _signed_by(self, issuer: x509.Certificate) -> list[_Crl]:
        # A CRL in the name of an issuer, made with another key, must not stand before the good
        # one.
        named = self._by_issuer.get(issuer.subject, ())
        return [crl for crl in named if crl.is_signed_by(issuer)]

    def _judge_link(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> tuple[Code | None, str]:
        who = quote(common_name(certificate.subject))
        signed = self._signed_by(issuer)
        current = [crl for crl in signed if crl.this_update <= at < crl.next_update]
        if current:
            code, reason = _ask_openssl(certificate, issuer, current, at)
        else:
            code, reason = Code.REVOCATION_UNKNOWN, _why_none_is_current(signed, issuer, at)
        if code is Code.CERTIFICATE_REVOKED:
            return code, f"{who} is revoked"
        if code is Code.REVOCATION_UNKNOWN:
            return code, f"no CRL tells whether {who} is revoked: {reason}"
        return None, ""


class _Crl:
    """A CRL that may be consulted, and which of its namesakes' keys signed it."""

    __slots__ = ("_signed", "crl", "issuer", "next_update", "this_update")

    def __init__(
        self, crl: x509.CertificateRevocationList, this_update: datetime, next_update: datetime
    ) -> None:
        self.crl = crl
        self.issuer = crl.issuer
        self.this_update = this_update
        self.next_update = next_update
        self._signed = BoundedCache[x509.Certificate, bool](_ISSUER_CACHE_SIZE)

    def is_signed_by(self, issuer: x509.Certificate) -> bool:
        """Verify the signature, once for each issuer."""
        signed = self._signed.get(issuer)
        if signed is None:
            signed = _is_signed(self.crl, issuer)
            self._signed.put(issuer, signed)
        return signed


def _read(crl: x509.CertificateRevocationList) -> _Crl | None:
    try:
        next_update = crl.next_update_utc
        # OpenSSL takes one without nextUpdate for current for ever.
        if next_update is None or not isinstance(crl.signature_hash_algorithm, _CRL_HASHES):
            return None
        return _Crl(crl, crl.last_update_utc, next_update)
    except UNREADABLE:
        return None


def _sort(crls: Iterable[_Crl]) -> dict[x509.Name, list[_Crl]]:
    by_issuer: dict[x509.Name, list[_Crl]] = {}
    for crl in crls:
        by_issuer.setdefault(crl.issuer, []).append(crl)
    return by_issuer


def _is_signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    return isinstance(
        key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)
    ) and crl.is_signature_valid(key)


def _ask_openssl(
    certificate: x509.Certificate, issuer: x509.Certificate, crls: Iterable[_Crl], at: datetime
) -> tuple[Code | None, str]:
    # One link at a time: over a whole path OpenSSL would also ask for a CRL on an anchor that
    # is not self-signed, and an anchor is revoked by taking it out of the store.
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(issuer))
    for crl in crls:
        with contextlib.suppress(crypto.Error):  # what OpenSSL cannot read speaks for nothing
            store.add_crl(crl.crl)
    store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.PARTIAL_CHAIN)
    # pyOpenSSL takes the time as naive UTC.
    store.set_time(at.astimezone(UTC).replace(tzinfo=None))
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(certificate))
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as error:
        number, _depth, reason = error.errors
        revoked = number == _CERTIFICATE_REVOKED
        return Code.CERTIFICATE_REVOKED if revoked else Code.REVOCATION_UNKNOWN, str(reason)
    return None, ""


def _why_none_is_current(signed: Sequence[_Crl], issuer: x509.Certificate, at: datetime) -> str:
    name = quote(common_name(issuer.subject))
    expired = [crl.next_update for crl in signed if crl.next_update <= at]
    if expired:
        return f"the CRL of {name} expired on {max(expired).isoformat()}"
    if signed:
        since = min(crl.this_update for crl in signed)
        return f"the CRL of {name} is not yet valid, but from {since.isoformat()}"
    return f"there is none that {name} has signed"
