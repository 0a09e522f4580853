"""Metrics about trust: reloads, unknown issuers, and until when evidence will verify."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

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
# "new" is one for each issuer, whichever worker saw it first.
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
