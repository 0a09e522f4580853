"""Fetches missing issuers from where certificates say they are (RFC 5280 section 4.2.2.1).

Nothing that is fetched is trusted.  What comes back are candidates for the path, as if they had
come with the evidence: :func:`attest.certificates.issued_under` keeps those that signatures
connect to a pinned anchor, and path validation decides.  docs/adr/0005 says why that can add
paths and no trust.  Whoever makes evidence can make us ask; the rest of this module sees to it
that asking is cheap, bounded and without consequence for others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from attest.cache import BoundedCache
from attest.certificates import (
    UNREADABLE,
    is_issued_by,
    is_usable_ca,
    issued_under,
    read_fully,
)
from attest.download import ISSUER_HOSTS, Deadline, Downloader, DownloadError
from attest.extensions import ca_issuers, subject_key_identifier
from attest.issuer_cache import FIVE_MINUTES, IssuerCache, IssuerKey
from attest.path import IssuerSource
from attest.throttle import Throttle

__all__ = ["AiaIssuerSource", "IssuerSource"]

BUDGET = 8.0
MAX_HOPS = 4

_MAX_OCTETS = 16 * 1024
_MAX_URLS = 4
_MAX_CERTIFICATES = 16
_MAX_ANSWERS = 256
_MAX_FOUND = 32
_MAX_CONCURRENT = 4
# How long a download waits for one of these to end: long enough where hosts answer.
_QUEUE_TIME = 0.5
# Downloads that a process may make at once, and what it regains in a second: 30 a minute.
_BURST = 30
_REGAIN = 0.5
# With less time than this left, a download that fails would say nothing about the host.
_LEAST_TIME = 1.0


@dataclass(frozen=True, slots=True)
class _Question:
    """Where to ask for which issuer.

    The answer depends on nothing else: not on the key of the certificate that asks, nor on its
    signature.  So a forged certificate that names a real issuer and its real URLs leaves just
    what the genuine one would have left, and one that names other URLs asks another question:
    no forgery can keep an issuer from being found by putting a wrong or empty answer in its place.
    """

    key: IssuerKey
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    certificates: tuple[x509.Certificate, ...]
    left: tuple[str, ...]  # the URLs that might give more
    given_at: float


@dataclass(frozen=True, slots=True)
class _Climb:
    certificates: tuple[x509.Certificate, ...]
    is_connected: bool
    is_fresh: bool


class AiaIssuerSource:
    """Finds issuers by the caIssuers URLs of certificates.  Safe to share among threads.

    Found issuers are remembered for a day, by name and key identifier, and used beyond it for as
    long as no newer ones can be had; answers of URLs for five minutes, good or bad.  At most four
    downloads run at a time in a process, and 30 start in a minute; beyond that nothing is
    fetched, and nothing remembered of it, so that a flood of certificates with invented issuers
    delays the discovery of a new real one, and can do no more.
    """

    def __init__(
        self,
        downloader: Downloader | None = None,
        cache: IssuerCache | None = None,
        *,
        budget: float = BUDGET,
        clock: Callable[[], float] = time.time,
        on_fetch: Callable[[str], None] | None = None,
    ) -> None:
        """Make a source.

        Args:
            downloader: what to fetch with, by default from :data:`attest.download.ISSUER_HOSTS`.
            cache: where to remember issuers, by default in memory.
            budget: seconds that one call of :meth:`candidates` may take.
            clock: the time, in seconds since 1970.
            on_fetch: told of every download: ``found``, ``failed``, or ``limited`` for one that
                was not made because there were too many.  It must not raise.
        """
        self._downloader = Downloader(ISSUER_HOSTS) if downloader is None else downloader
        self._cache = IssuerCache(clock=clock) if cache is None else cache
        self._budget = budget
        self._clock = clock
        self._on_fetch = on_fetch or (lambda _outcome: None)
        self._answers = BoundedCache[_Question, _Answer](_MAX_ANSWERS)
        self._throttle = Throttle(concurrent=_MAX_CONCURRENT, burst=_BURST, regain=_REGAIN)

    def candidates(
        self, certificate: x509.Certificate, trusted: Sequence[x509.Certificate]
    ) -> Sequence[x509.Certificate]:
        """Find CA certificates upwards from a certificate, until trusted ones have issued one.

        One that fails finds nothing, and raises nothing.

        Args:
            certificate: the certificate whose issuer is missing.
            trusted: anchors, and CA certificates connected to them; fetched ones never are.

        Returns:
            CA certificates each of which issued ``certificate`` or another of them, and which
            nobody should trust for that.
        """
        try:
            return self._find(certificate, trusted, Deadline.after(self._budget)).certificates
        except UNREADABLE:
            return ()

    def _find(
        self,
        certificate: x509.Certificate,
        trusted: Sequence[x509.Certificate],
        deadline: Deadline,
    ) -> _Climb:
        known, by_day = self._known(certificate, trusted)
        if known.is_fresh:
            return known
        # What is known and past its day is better than waiting for whoever is refreshing it.
        patience = 0.0 if known.is_connected else deadline.remaining()
        with self._cache.lock(IssuerKey.of(certificate), patience) as is_ours:
            if is_ours:
                # Others may have found it meanwhile.
                known, by_day = self._known(certificate, trusted)
            if not is_ours or known.is_fresh:
                return known
            found = _climb(certificate, trusted, lambda c: self._ask(c, deadline, by_day=by_day))
            if found.is_fresh and not found.is_connected:
                # Further URLs, where the first one that gave an issuer gave none that leads up.
                found = _climb(certificate, trusted, lambda c: self._ask(c, deadline, by_day=False))
            if found.is_connected:
                self._remember(certificate, trusted, found.certificates)
        return found

    def _known(
        self, certificate: x509.Certificate, trusted: Sequence[x509.Certificate]
    ) -> tuple[_Climb, bool]:
        """Return what is remembered, and whether it does: where it leads up."""
        known = _climb(certificate, trusted, self._recall)
        if known.is_connected:
            return known, True
        # It may be another cloud's, or somebody else's: no reason not to ask all there is.
        return _climb(certificate, trusted, lambda c: self._recall(c, by_day=False)), False

    def _recall(
        self, lower: x509.Certificate, *, by_day: bool = True
    ) -> tuple[list[x509.Certificate], bool]:
        """Return the remembered issuers of a certificate, and whether asking is unnecessary."""
        question = self._question(lower)
        entry = self._cache.get(question.key)
        kept = _issuers(lower, entry.certificates) if entry else []
        if by_day and kept and entry and entry.is_fresh(self._clock()):
            return kept, True
        answer = self._answers.get(question)
        if answer is not None and self._is_recent(answer):
            given = _issuers(lower, answer.certificates)
            if (by_day and given) or not answer.left:
                return given or kept, True
        return kept, not question.urls

    def _ask(
        self, lower: x509.Certificate, deadline: Deadline, *, by_day: bool
    ) -> tuple[list[x509.Certificate], bool]:
        kept, is_fresh = self._recall(lower, by_day=by_day)
        if is_fresh:
            return kept, True
        answer = self._fetch(lower, deadline)
        if answer is None:
            return kept, False
        self._answers.put(self._question(lower), answer)
        return _issuers(lower, answer.certificates) or kept, True

    def _fetch(self, lower: x509.Certificate, deadline: Deadline) -> _Answer | None:
        """Ask the URLs in turn, until one gives an issuer that is valid today."""
        question = self._question(lower)
        before = self._answers.get(question)
        if before is None or not before.left or not self._is_recent(before):
            before = _Answer((), question.urls, self._clock())
        found = dict.fromkeys(before.certificates)
        for number, url in enumerate(before.left, start=1):
            given = self._download(url, question.key, deadline)
            if given is None:
                return None
            found.update(dict.fromkeys(given))
            if any(self._is_valid(issuer) for issuer in _issuers(lower, given)):
                return _Answer(tuple(found), before.left[number:], self._clock())
            if deadline.remaining() < _LEAST_TIME:
                # Neither those not asked nor one that had less time than it needs said no.
                return _Answer(tuple(found), question.urls, self._clock())
        return _Answer(tuple(found), (), self._clock())

    def _download(
        self, url: str, key: IssuerKey, deadline: Deadline
    ) -> list[x509.Certificate] | None:
        """Return the fitting certificates of a URL, ``None`` where it was not asked."""
        patience = min(_QUEUE_TIME, deadline.remaining() - _LEAST_TIME)
        if patience < 0:
            return None
        with self._throttle.permit(patience) as is_granted:
            if not is_granted:
                self._on_fetch("limited")
                return None
            try:
                body = self._downloader.get(url, max_octets=_MAX_OCTETS, deadline=deadline)
                found = [one for one in _read_answer(body) if _fits(one, key)]
            except (DownloadError, *UNREADABLE):
                found = []
        self._on_fetch("found" if found else "failed")
        return found

    def _question(self, lower: x509.Certificate) -> _Question:
        allowed = (url for url in dict.fromkeys(ca_issuers(lower)) if self._downloader.allows(url))
        return _Question(IssuerKey.of(lower), tuple(allowed)[:_MAX_URLS])

    def _is_recent(self, answer: _Answer) -> bool:
        return 0 <= self._clock() - answer.given_at < FIVE_MINUTES

    def _is_valid(self, certificate: x509.Certificate) -> bool:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return start.timestamp() <= self._clock() <= end.timestamp()

    def _remember(
        self,
        certificate: x509.Certificate,
        trusted: Sequence[x509.Certificate],
        found: Sequence[x509.Certificate],
    ) -> None:
        connected = issued_under(trusted, found)
        for lower in (certificate, *connected):
            question = self._question(lower)
            entry, answer = self._cache.get(question.key), self._answers.get(question)
            known = _issuers(lower, entry.certificates) if entry else []
            is_fresh = known and entry and entry.is_fresh(self._clock())
            if answer is None or (is_fresh and any(one in connected for one in known)):
                continue
            # Only what was given now: old ones that serve for lack of new ones stay old.
            given = [one for one in _issuers(lower, connected) if one in answer.certificates]
            if given:
                self._cache.put(question.key, given)


def _climb(
    certificate: x509.Certificate,
    trusted: Sequence[x509.Certificate],
    issuers_of: Callable[[x509.Certificate], tuple[list[x509.Certificate], bool]],
) -> _Climb:
    """Go up from a certificate, hop by hop, until signatures lead on to the trusted ones."""
    found: dict[x509.Certificate, None] = {}
    direct: list[x509.Certificate] = []
    frontier, all_fresh = [certificate], True
    for hop in range(MAX_HOPS):
        above: dict[x509.Certificate, None] = {}
        for lower in frontier:
            issuers, is_fresh = issuers_of(lower)
            above.update(dict.fromkeys(issuers))
            all_fresh = all_fresh and is_fresh
        direct = direct if hop else list(above)
        frontier = [one for one in above if one not in found]
        found.update(above)
        connected = issued_under(trusted, found)
        if any(issuer in connected for issuer in direct):
            return _Climb(tuple(found), is_connected=True, is_fresh=all_fresh)
        if not frontier or len(found) > _MAX_FOUND:
            break
    return _Climb(tuple(found), is_connected=False, is_fresh=all_fresh)


def _issuers(
    lower: x509.Certificate, certificates: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    return [one for one in certificates if is_issued_by(lower, one)]


def _fits(certificate: x509.Certificate, key: IssuerKey) -> bool:
    """Tell whether a certificate may be of the CA that the key names."""
    try:
        if read_fully(certificate).subject.public_bytes() != key.name:
            return False
        own = subject_key_identifier(certificate)
    except UNREADABLE:
        return False
    if not is_usable_ca(certificate):
        return False
    return key.key_identifier is None or own is None or own == key.key_identifier


def _read_answer(body: bytes) -> list[x509.Certificate]:
    """Read a certificate, or a certs-only SignedData (RFC 5652), as DER or PEM.

    Raises:
        Exception: one of :data:`attest.certificates.UNREADABLE`.
    """
    if b"-----BEGIN PKCS7-----" in body:
        found = pkcs7.load_pem_pkcs7_certificates(body)
    elif b"-----BEGIN" in body:
        found = x509.load_pem_x509_certificates(body)
    else:
        try:
            found = [x509.load_der_x509_certificate(body)]
        except ValueError:
            found = pkcs7.load_der_pkcs7_certificates(body)
    if len(found) > _MAX_CERTIFICATES:
        raise ValueError("too many certificates")
    return found
