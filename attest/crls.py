"""CRLs from the distribution points of a path's certificates (RFC 5280 section 4.2.1.13).

The source is asked in step 9 alone, about a path that step 8 found valid.  So CAs below an anchor
wrote the URLs that it follows, never whoever made up evidence; they are followed by the rules of
:mod:`attest.download` all the same.  What comes back counts if it is current and the issuer in
the path signed it, and the answers of a URL never go back in time.  Whether a partition speaks
for a certificate is asked where every other CRL is judged.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509

from attest.cache import BoundedCache
from attest.certificates import UNREADABLE
from attest.crl_set import DEFAULT_CACHE_SIZE, CrlSet
from attest.download import CRL_HOSTS, Deadline, Downloader, DownloadError
from attest.errors import Code
from attest.path import CertificatePath
from attest.revocation import CrlSource

MAX_CRL = 10 * 1024 * 1024
MAX_TOTAL = 64 * 1024 * 1024
MAX_URLS = 1024
_MAX_URLS_OF_ONE = 8  # of one certificate; Azure's have one to three
_BUDGET = 8.0  # seconds for the downloads of one verification
_REFRESH_BUDGET = 60.0
_RETRY = 300.0  # a verification asks no URL again sooner, whatever it answered
_RETRY_REFRESH = 240.0  # refresh() does, so that no verification waits for a dead host again
_MAX_AGE = 12 * 3600.0
_USED = 24 * 3600.0
_NOTHING = CrlSet()
_Link = tuple[x509.Certificate, x509.Certificate]  # a certificate, and its issuer in the path


class Fetcher(Protocol):
    """Downloads a file, as :class:`attest.download.Downloader` does."""

    def get(self, url: str, *, max_octets: int, deadline: Deadline) -> bytes:
        """Return the file.

        Raises:
            DownloadError: there is none.
        """
        ...


class FetchingCrlSource:
    """Fetches CRLs where certificates say that they are, and keeps them while they are current.

    Bounded in number, memory and time; safe to share among threads, of which one at a time asks
    a URL while the others wait for its answer.
    """

    def __init__(
        self,
        downloader: Fetcher | None = None,
        *,
        files: Iterable[x509.CertificateRevocationList] | CrlSource = (),
        max_urls: int = MAX_URLS,
        max_octets: int = MAX_TOTAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a source that has fetched nothing.

        Args:
            downloader: how to download; by default from :data:`attest.download.CRL_HOSTS`.
            files: CRLs at hand, which come first: nothing is fetched for a certificate that one
                of them speaks for.
            max_urls: how many URLs are remembered.
            max_octets: how long the CRLs that are kept may be together.
            clock: tells seconds that nobody sets, for ages and pauses.

        Raises:
            ValueError: not even one CRL of the greatest length would have room.
        """
        if max_urls < 1 or max_octets < MAX_CRL:
            raise ValueError(f"there must be room for one CRL of {MAX_CRL} octets")
        self._downloader: Fetcher = Downloader(CRL_HOSTS) if downloader is None else downloader
        self._files: CrlSource = CrlSet(files) if isinstance(files, Iterable) else files
        self._max_urls = max_urls
        self._max_octets = max_octets
        self._clock = clock
        self._slots: dict[str, _Slot] = {}
        self._lock = threading.Lock()
        self._forget_plans()

    def crls_for(self, path: CertificatePath, at: datetime) -> CrlSet:
        """Return the CRLs for a valid path; download those that are missing, within 8 seconds."""
        files, now = self._files.crls_for(path, at), self._clock()
        plan = self._plans.get(id(path))
        if plan is None or not plan.holds(path, files) or plan.must_ask(at, now):
            plan = self._plan(path, at, files)
            self._plans.put(id(path), plan)
        for slot, link, _ in plan.parts:
            slot.used, slot.link = now, link
        return plan.crls

    def refresh(self, now: datetime) -> None:
        """Download CRLs anew that were used in the last day, long before they end.

        For a task in the background that runs every minute or so.  A CRL is asked for again
        after half of the life that it had left, 12 hours at most; where that fails, or gives an
        older one, the one at hand is used until it ends, and the URL asked again in minutes.  Takes
        about a minute at most.

        Args:
            now: the time, aware.
        """
        tick, deadline = self._clock(), Deadline.after(_REFRESH_BUDGET)
        with self._lock:
            for slot in list(self._slots.values()):
                if tick - slot.used > _USED:
                    self._forget(slot)
            due = [slot for slot in self._slots.values() if slot.due <= tick]
        for slot in sorted(due, key=lambda slot: slot.due):
            if deadline.remaining() <= 0:
                return
            # One that is being asked needs no second question.
            if slot.link is not None and slot.lock.acquire(blocking=False):
                try:
                    self._ask(slot, slot.link, now, deadline)
                finally:
                    slot.lock.release()

    def _plan(self, path: CertificatePath, at: datetime, files: CrlSet) -> _Plan:
        deadline = Deadline.after(_BUDGET)
        crls = files
        parts: list[_Part] = []
        for link in itertools.pairwise(path.certificates):
            for url in distribution_points(link[0]):
                if crls.speaks_for(*link, at):
                    break
                slot = self._slot(url)
                self._ask_unless_known(slot, link, at, deadline)
                parts.append((slot, link, slot.crls))
                crls |= parts[-1][2]
        return _Plan(path, files, tuple(parts), crls)

    def _slot(self, url: str) -> _Slot:
        with self._lock:
            slot = self._slots.get(url)
            if slot is None:
                self._make_room(self._max_urls - 1, self._max_octets)
                slot = self._slots[url] = _Slot(url)
            slot.used = self._clock()
            return slot

    def _ask_unless_known(self, slot: _Slot, link: _Link, at: datetime, deadline: Deadline) -> None:
        # Whoever comes second waits here for the answer that the first one gets.
        if slot.is_current(at) or not slot.lock.acquire(timeout=deadline.remaining()):
            return
        try:
            if slot.may_be_asked(at, self._clock()) and deadline.remaining() > 0:
                self._ask(slot, link, at, deadline)
        finally:
            slot.lock.release()

    def _ask(self, slot: _Slot, link: _Link, at: datetime, deadline: Deadline) -> None:
        """Download; the caller holds the slot's lock."""
        slot.asked, slot.link = self._clock(), link
        before = slot.crls
        try:
            data = self._downloader.get(slot.url, max_octets=MAX_CRL, deadline=deadline)
            # Not what reads the operator's files: that looks for any number of CRLs.
            load = x509.load_der_x509_crl if data[:1] == b"\x30" else x509.load_pem_x509_crl
            kept = slot.keep(load(data), len(data), link, at)
        except (DownloadError, *UNREADABLE):
            kept = False
        slot.due = slot.asked + _pause(slot, at, kept=kept)
        if slot.crls is not before:
            with self._lock:
                if self._slots.get(slot.url) is not slot:
                    slot.crls = _NOTHING  # it was forgotten meanwhile
                self._make_room(self._max_urls, self._max_octets)
                self._forget_plans()

    def _make_room(self, urls: int, octets: int) -> None:
        """Forget what was not used for longest; the caller holds the lock."""
        oldest = sorted(self._slots.values(), key=lambda slot: slot.used)
        total = sum(slot.octets for slot in oldest)
        for slot in oldest:
            if len(self._slots) <= urls and total <= octets:
                return
            total -= slot.octets
            self._forget(slot)

    def _forget(self, slot: _Slot) -> None:
        del self._slots[slot.url]
        slot.crls = _NOTHING  # so that no plan uses it any more
        self._forget_plans()

    def _forget_plans(self) -> None:
        # Good ones are made anew; others would keep CRLs in memory that nothing else does.
        self._plans = BoundedCache[int, _Plan](DEFAULT_CACHE_SIZE)


def distribution_points(certificate: x509.Certificate) -> Sequence[str]:
    """Return the URLs in a certificate's cRLDistributionPoints, eight at most, as they stand."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    names = itertools.chain.from_iterable(point.full_name or () for point in points)
    urls = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return list(dict.fromkeys(urls))[:_MAX_URLS_OF_ONE]


class _Slot:
    """One URL: the CRL that it gave, and when it was and will be asked, by the source's clock."""

    __slots__ = ("_crl", "asked", "crls", "due", "link", "lock", "octets", "url", "used")

    def __init__(self, url: str) -> None:
        self.url = url
        self.used = -math.inf
        self.lock = threading.Lock()  # held while the URL is asked
        self.asked = -math.inf
        self.due = math.inf
        self.link: _Link | None = None  # what it was last wanted for
        self.crls = _NOTHING
        self.octets = 0
        self._crl: x509.CertificateRevocationList | None = None

    def is_current(self, at: datetime) -> bool:
        return self.life_left(at) > 0

    def may_be_asked(self, at: datetime, now: float) -> bool:
        """Tell whether a verification at ``at`` asks: nothing is current, and a pause is over."""
        return not self.is_current(at) and self.asked + _RETRY <= now

    def life_left(self, at: datetime) -> float:
        """Return how many seconds the CRL is current after ``at``, 0 where it is not then."""
        crl = self._crl
        if crl is None or crl.next_update_utc is None or at < crl.last_update_utc:
            return 0.0
        return max(0.0, (crl.next_update_utc - at).total_seconds())

    def keep(
        self,
        crl: x509.CertificateRevocationList,
        octets: int,
        link: _Link,
        at: datetime,
    ) -> bool:
        """Take a CRL if it speaks for the link's certificate and is no older than the one at hand.

        Not every current one of the issuer: another partition, or a delta, in the place of the one
        at hand would make those that this one revokes unknown, until it ends.

        Returns:
            Whether the slot now holds this CRL, be it that it held it before.
        """
        if crl == self._crl:
            return True  # and every verdict by it stays known
        found = CrlSet([crl])
        if not found.speaks_for(*link, at):
            return False
        known = self._crl
        if known is not None and crl.last_update_utc < known.last_update_utc:
            return False
        self._crl, self.octets, self.crls = crl, octets, found
        return True


def _pause(slot: _Slot, at: datetime, *, kept: bool) -> float:
    """Return how many seconds later refresh() asks again."""
    if not kept:
        return _RETRY_REFRESH  # or one lost answer would hide a revocation for hours
    return min(max(slot.life_left(at) / 2, _RETRY), _MAX_AGE)


_Part = tuple[_Slot, _Link, CrlSet]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the CRLs of one path come from; good for as long as none of these changes."""

    path: CertificatePath
    files: CrlSet
    parts: tuple[_Part, ...]
    crls: CrlSet

    def holds(self, path: CertificatePath, files: CrlSet) -> bool:
        return (
            self.path is path
            and self.files is files
            and all(slot.crls is crls for slot, _, crls in self.parts)
        )

    def must_ask(self, at: datetime, now: float) -> bool:
        """Tell whether these CRLs leave revocation unknown, and a URL may be asked again."""
        if self.crls.verdict(self.path, at).code is not Code.REVOCATION_UNKNOWN:
            return False
        return any(slot.may_be_asked(at, now) for slot, *_ in self.parts)
