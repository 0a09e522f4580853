"""``/metadata/scheduledevents``: what is scheduled, and its approval.

Source: the page "Scheduled Events for Linux VMs".  An event is announced, starts when its
``NotBefore`` passes or when it is approved, and is gone some time later; each of these changes
raises ``DocumentIncarnation`` by one.  Everything follows from the clock and the approvals.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime

from flask import Response

from attest.testing.imds import errors
from attest.testing.imds.call import Call, reply
from attest.testing.imds.parts import ScheduledEvent
from attest.testing.imds.state import Emulator

# The version that brought a type of event, or a member of one.
_TYPES = {"Preempt": "2017-11-01", "Terminate": "2019-01-01"}
_NEVER = datetime.max.replace(tzinfo=UTC)
_MEMBERS = {
    "Description": "2019-04-01",
    "EventSource": "2019-08-01",
    "DurationInSeconds": "2020-07-01",
}


def scheduled_events(call: Call, emulator: Emulator) -> Response:
    """Answer GET with the events, and POST by approving those that it names.

    Raises:
        RefusalError: 404 for another element; 400 for a body that is malformed, or names an event
            that is not there.
    """
    if call.route:
        raise errors.not_found()
    if call.query.get("format", "json") != "json":
        raise errors.bad_request("The format is not supported: json")
    with emulator.lock:
        now = emulator.clock()
        if call.method == "POST":
            _approve(call, emulator, now)
            return reply({})
        return reply(_document(call.version, emulator, now))


def next_events(emulator: Emulator) -> list[dict[str, object]]:
    """Return what is scripted, with the times at which each event changes, for ``/_fake/state``."""
    found: list[dict[str, object]] = []
    for event in emulator.vm.events:
        moments = zip(("announced", "start", "end"), _times(event, emulator), strict=True)
        times = {key: moment.isoformat() for key, moment in moments}
        found.append({"id": event.event_id, "type": event.kind, **times})
    return found


def _document(version: str, emulator: Emulator, now: datetime) -> dict[str, object]:
    incarnation = emulator.incarnation
    listed: list[dict[str, object]] = []
    for event in emulator.vm.events:
        if version < _TYPES.get(event.kind, ""):
            continue
        announced, start, end = _times(event, emulator)
        passed = sum(moment <= now for moment in {announced, start, end})
        incarnation += passed
        if announced <= now < end:
            pending = announced + event.notice if now < start else None
            listed.append(_entry(event, version, pending))
    return {"DocumentIncarnation": incarnation, "Events": listed}


def _times(event: ScheduledEvent, emulator: Emulator) -> tuple[datetime, datetime, datetime]:
    """Return when it is announced, starts, and is over."""
    announced = emulator.started + event.after
    start = min(announced + event.notice, emulator.approvals.get(event.event_id, _NEVER))
    return announced, start, start + event.finish


def _entry(event: ScheduledEvent, version: str, pending: datetime | None) -> dict[str, object]:
    not_before = format_datetime(pending.astimezone(UTC), usegmt=True) if pending else ""
    entry: dict[str, object] = {
        "EventId": event.event_id,
        "EventStatus": "Scheduled" if pending else "Started",
        "EventType": event.kind,
        "ResourceType": "VirtualMachine",
        "Resources": list(event.resources),
        "NotBefore": not_before,
        "Description": event.description,
        "EventSource": event.source,
        "DurationInSeconds": event.duration,
    }
    return {key: value for key, value in entry.items() if _MEMBERS.get(key, "") <= version}


def _approve(call: Call, emulator: Emulator, now: datetime) -> None:
    current = {
        event.event_id: event
        for event in emulator.vm.events
        if _times(event, emulator)[0] <= now < _times(event, emulator)[2]
    }
    wanted = _requested(call.body)
    for event_id in wanted:
        if event_id not in current:
            raise errors.bad_request("No scheduled event has this EventId")
    for event_id in wanted:
        emulator.approvals.setdefault(event_id, now)


def _requested(body: bytes) -> list[str]:
    try:
        requests = json.loads(body)["StartRequests"]
        wanted = [request["EventId"] for request in requests]
    except (ValueError, TypeError, KeyError, RecursionError):
        wanted = []
    if not wanted or not all(isinstance(event_id, str) for event_id in wanted):
        raise errors.bad_request('The body is not {"StartRequests": [{"EventId": "..."}]}')
    return wanted
