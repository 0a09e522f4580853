"""Where the service finds CA certificates that are missing from a path."""

from __future__ import annotations

from prometheus_client import Counter

from attest import IssuerSource
from attest.download import ISSUER_HOSTS, Downloader
from attest.hosts import HostRule
from attest.issuer_cache import IssuerCache
from attest.issuers import AiaIssuerSource
from service.settings import Settings

FETCHES = Counter(
    "attest_issuer_fetches",
    "Downloads of missing issuers: found, failed, or limited, which were not made.",
    ["outcome"],
)


def issuer_source(settings: Settings) -> IssuerSource | None:
    """Return the source of these settings, ``None`` where fetching is off.

    What it finds is kept in a folder that the workers, and the next start, share.
    """
    if not settings.fetch_issuers:
        return None
    hosts = (*ISSUER_HOSTS, *map(HostRule.parse, settings.issuer_hosts))
    return AiaIssuerSource(
        Downloader(hosts),
        IssuerCache(settings.data_dir / "issuers"),
        on_fetch=lambda outcome: FETCHES.labels(outcome).inc(),
    )
