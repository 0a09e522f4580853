"""Metrics about trust that need no database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from attest import TrustStore
from service.trust_metrics import NewestEvidenceCollector


def samples(store: TrustStore, at: datetime) -> dict[str, str]:
    """Return the day of each cloud's alarm."""
    collector = NewestEvidenceCollector(store, lambda: at)
    return {
        sample.labels["cloud"]: datetime.fromtimestamp(sample.value, UTC).date().isoformat()
        for metric in collector.collect()
        for sample in metric.samples
        if sample.name == "attest_trust_newest_evidence_expiry_timestamp_seconds"
    }


@pytest.mark.parametrize(
    ("year", "until"), [(2024, "2026-08-25"), (2026, "2029-06-03"), (2030, "2029-06-03")]
)
def test_newest_evidence(year: int, until: str) -> None:
    """The newest generation at the time decides, also once it has ended."""
    found = samples(TrustStore.bundled(), datetime(year, 6, 1, tzinfo=UTC))
    assert set(found) == {"public", "usgov", "china", "germany"}
    assert found["public"] == until


def test_no_store_no_sample() -> None:
    """Nothing is made up for a cloud of which nothing is known."""
    assert samples(TrustStore([]), datetime(2026, 6, 1, tzinfo=UTC)) == {}
