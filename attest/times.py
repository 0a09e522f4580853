"""Points in time: always aware, always UTC once they are inside."""

from __future__ import annotations

from datetime import UTC, datetime


def in_utc(at: datetime) -> datetime:
    """Convert to UTC.

    Raises:
        ValueError: the time is not aware, or UTC's calendar does not reach it.
    """
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is None:
        raise ValueError("the time must be aware, such as datetime.now(UTC)")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"the time is out of the calendar: {error}") from None


def rfc3339(moment: datetime) -> str:
    """Format an aware time as RFC 3339, in UTC, to the second."""
    return f"{in_utc(moment).isoformat(timespec='seconds')[:-6]}Z"
