"""Prometheus metrics, right across workers.

With ``PROMETHEUS_MULTIPROC_DIR`` set before this module is imported, as ``attest serve`` does,
every process counts in files of its own there, and whichever is asked adds up all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector

from attest import Cloud, TrustStore
from attest.certificates import fingerprint

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

VERIFICATIONS = Counter(
    "attest_verifications", "Decisions on evidence, by result and code.", ["result", "code"]
)
VERIFICATION_SECONDS = Histogram(
    "attest_verification_seconds",
    "Time to decide on what one request asks, challenges and all.",
    ["route"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
)
CHALLENGES = Counter(
    "attest_challenges", "Challenges: issued, used, and expired without use.", ["event"]
)
CHALLENGES_ISSUED = CHALLENGES.labels("issued")
CHALLENGES_USED = CHALLENGES.labels("used")
CHALLENGES_EXPIRED = CHALLENGES.labels("expired")
UNKNOWN_ISSUERS = Counter(
    "attest_unknown_issuers", "Evidence whose signer no known CA has issued.", []
)
RESPONSES = Counter(
    "attest_responses", "HTTP responses, by endpoint and status.", ["route", "status"]
)
DATABASE_ERRORS = Counter("attest_database_errors", "Requests that found no database.", [])

_RESPONSES: dict[tuple[str, str], Counter] = {}
_RESULTS = {"verified": VERIFICATIONS.labels("verified", "verified")}
_SECONDS = {route: VERIFICATION_SECONDS.labels(route) for route in ("verify", "verify_batch")}


def count_decisions(codes: Mapping[str, int], route: str, seconds: float) -> None:
    """Count the decisions of one request, all at once: each count is a write to shared memory.

    Args:
        codes: how often there was which code; ``verified`` for a verified document.
        route: ``verify`` or ``verify_batch``.
        seconds: how long all of them took.
    """
    for code, count in codes.items():
        child = _RESULTS.get(code)
        if child is None:
            child = _RESULTS[code] = VERIFICATIONS.labels("rejected", code)
        child.inc(count)
        if code == "issuer_unknown":
            UNKNOWN_ISSUERS.inc(count)
    _SECONDS[route].observe(seconds)


class _OwnProcess(Collector):
    """The metrics of this process alone, for a service that is one process."""

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()


class TrustCollector(Collector):
    """Tells until when each certificate of a trust store is valid, read when asked."""

    def __init__(self, store: TrustStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        expiry = GaugeMetricFamily(
            "attest_trust_certificate_expiry_timestamp_seconds",
            "End of validity of a certificate of the trust store, in seconds since 1970.",
            labels=["cloud", "role", "subject", "sha256"],
        )
        for cloud in Cloud:
            members = [("anchor", c) for c in self._store.anchors_for(cloud)]
            members += [("intermediate", c) for c in self._store.intermediates_for(cloud)]
            for role, certificate in members:
                info = (
                    str(cloud),
                    role,
                    certificate.subject.rfc4514_string(),
                    fingerprint(certificate),
                )
                expiry.add_metric(info, certificate.not_valid_after_utc.timestamp())
        yield expiry
        yield InfoMetricFamily(
            "attest_trust_store", "The trust store.", {"generation": self._store.generation}
        )


def render(*more: Collector) -> bytes:
    """Return all metrics in Prometheus's text format.

    Args:
        more: what is not counted but looked at, when asked.
    """
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_OwnProcess())
    for collector in more:
        registry.register(collector)
    return generate_latest(registry)


def count_response(route: str, status: str) -> None:
    """Count an HTTP response."""
    child = _RESPONSES.get((route, status))
    if child is None:
        child = _RESPONSES[route, status] = RESPONSES.labels(route, status)
    child.inc()
