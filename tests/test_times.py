"""Tests of attest.times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from attest.times import in_utc, rfc3339


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 7, 1, 12, 0, 0, 999_999, tzinfo=UTC), "2026-07-01T12:00:00Z"),
        (
            datetime(2026, 7, 1, 2, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "2026-06-30T20:30:00Z",
        ),
    ],
)
def test_times_are_utc_to_the_second(moment: datetime, text: str) -> None:
    """RFC 3339, in UTC."""
    assert rfc3339(moment) == text


def test_aware_times_become_utc() -> None:
    """The moment stays, the zone goes."""
    there = datetime(2026, 7, 1, 5, 0, tzinfo=timezone(timedelta(hours=-7)))
    assert in_utc(there) == there
    assert in_utc(there).tzinfo is UTC


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 7, 1),  # noqa: DTZ001 - naive on purpose
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
    ],
)
def test_times_that_are_no_moment_are_refused(moment: datetime) -> None:
    """A naive time, and one that UTC's calendar does not reach."""
    with pytest.raises(ValueError, match="time"):
        in_utc(moment)
