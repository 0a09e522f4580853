"""Metrics about trust: reloads, unknown issuers, and until when evidence will verify."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from attest import Cloud, TrustStore
from attest.lifetimes import CaLifetime, ca_lifetimes, outlook
from service.errors import UnavailableError

RELOADS = Counter("attest_trust_reloads", "New trust stores that were put to use, by all workers.")
RELOAD_FAILURES = Counter(
    "attest_trust_reload_failures",
    "Changes of the trust folders that could not be used, by all workers.",
)
RELOAD_OK = Gauge(
    "attest_trust_reload_ok",
    "1 while the store in use is what the trust folders hold, 0 while a worker had to keep an "
    "earlier one.",
    multiprocess_mode="livemin",
)
# "new" is one for each issuer, whichever worker saw it first, and for each that came back.
QUARANTINE = Counter(
    "attest_quarantine",
    "Unknown issuers: new ones, new ones beyond the rate, and writes that failed.",
    ["event"],
)
QUARANTINE_NEW = QUARANTINE.labels("new")
QUARANTINE_OVER_RATE = QUARANTINE.labels("over_rate")
QUARANTINE_FAILED = QUARANTINE.labels("failed")


class QuarantineCollector(Collector):
    """Tells how many unknown issuers wait for the operator, read when asked."""

    def __init__(self, count_pending: Callable[[], int]) -> None:
        self._count_pending = count_pending

    def collect(self) -> Iterator[Metric]:
        """Yield the metric; nothing while the database does not answer."""
        try:
            pending = self._count_pending()
        except UnavailableError:
            return
        yield GaugeMetricFamily(
            "attest_unknown_issuers_pending",
            "Unknown issuers that wait for attest trust approve or dismiss.",
            value=pending,
        )


class NewestEvidenceCollector(Collector):
    """Tells per cloud until when the newest evidence verifies with the store."""

    def __init__(self, store: TrustStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        at = self._clock()
        expiry = GaugeMetricFamily(
            "attest_trust_newest_evidence_expiry_timestamp_seconds",
            "Until when what the newest issuing CAs sign will verify, in seconds since 1970.",
            labels=["cloud"],
        )
        for cloud in Cloud:
            found = outlook(_lifetimes(self._store, cloud), at)
            if found is not None:
                expiry.add_metric((str(cloud),), found.newest_until.timestamp())
        yield expiry


# Some 20 ms of signatures a cloud, for every look at the metrics; a store never changes.
@functools.lru_cache(maxsize=len(Cloud))
def _lifetimes(store: TrustStore, cloud: Cloud) -> tuple[CaLifetime, ...]:
    return tuple(ca_lifetimes(store, cloud))
