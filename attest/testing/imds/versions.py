"""API versions: which exist, and from which one on each category answers.

Sources: the IMDS page, section "Version" and the table of section "Metadata APIs"; for the versions
after 2020-10-01 the page's later editions; for the scheduled events' own versions the page
"Scheduled Events for Linux VMs".
"""

from __future__ import annotations

API_VERSIONS = (
    "2017-03-01",
    "2017-04-02",
    "2017-08-01",
    "2017-10-01",
    "2017-12-01",
    "2018-02-01",
    "2018-04-02",
    "2018-10-01",
    "2019-02-01",
    "2019-03-11",
    "2019-04-30",
    "2019-06-01",
    "2019-06-04",
    "2019-08-01",
    "2019-08-15",
    "2019-11-01",
    "2020-06-01",
    "2020-07-15",
    "2020-09-01",
    "2020-10-01",
    "2020-12-01",
    "2021-01-01",
    "2021-02-01",
    "2021-03-01",
    "2021-05-01",
    "2021-08-01",
    "2021-10-01",
    "2021-11-01",
    "2021-11-15",
    "2021-12-13",
    "2023-07-01",
    "2023-11-15",
    "2024-03-15",
    "2024-07-17",
    "2025-04-07",
)
NEWEST = API_VERSIONS[-1]

# Scheduled events have versions of their own beside those of the rest.
EVENT_VERSIONS = (
    "2017-08-01",
    "2017-11-01",
    "2019-01-01",
    "2019-04-01",
    "2019-08-01",
    "2020-07-01",
)

# The first segment of the path below /metadata -> the version that introduced it.
CATEGORIES = {
    "attested": "2018-10-01",
    "identity": "2018-02-01",
    "instance": "2017-04-02",
    "loadbalancer": "2020-10-01",
    "scheduledevents": "2017-08-01",
}


def supported(newest: str = NEWEST) -> tuple[str, ...]:
    """Return the versions up to and including ``newest``, oldest first.

    Raises:
        ValueError: there is no such version.
    """
    if newest not in API_VERSIONS:
        msg = f"{newest!r} is not an api-version"
        raise ValueError(msg)
    return API_VERSIONS[: API_VERSIONS.index(newest) + 1]


def is_supported(category: str, version: str, newest: str = NEWEST) -> bool:
    """Tell whether a category answers requests of a version.

    Versions are dates, so their order is that of their text.
    """
    known = supported(newest)
    if category == "scheduledevents":
        known += tuple(other for other in EVENT_VERSIONS if other <= newest)
    return version in known and version >= CATEGORIES[category]
