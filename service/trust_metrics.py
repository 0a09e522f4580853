"""Metrics about trust."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

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
