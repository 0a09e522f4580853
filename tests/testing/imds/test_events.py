"""/metadata/scheduledevents: the life of an event, its approval, and what each version has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attest.testing.imds.parts import MINIMUM_NOTICE
from tests.testing.imds.conftest import Clock, Endpoint, MakeEndpoint

PATH = "/metadata/scheduledevents"
NEWEST = "2020-07-01"
REBOOT = {"type": "Reboot", "id": "E1", "after": 10, "notice": 900, "finish": 60, "duration": 9}


def _approve(endpoint: Endpoint, *event_ids: str) -> int:
    body = {"StartRequests": [{"EventId": event_id} for event_id in event_ids]}
    data = json.dumps(body).encode()
    return endpoint.send(PATH, NEWEST, method="POST", data=data).status_code


def _state(endpoint: Endpoint) -> tuple[int, list[str]]:
    answer = endpoint.get(PATH, NEWEST)
    return answer["DocumentIncarnation"], [event["EventStatus"] for event in answer["Events"]]


def test_nothing_is_scheduled(endpoint: Endpoint) -> None:
    """Nothing is scheduled."""
    assert endpoint.get(PATH, NEWEST) == {"DocumentIncarnation": 1, "Events": []}


def test_the_life_of_an_event(make_endpoint: MakeEndpoint, clock: Clock) -> None:
    """Announced, started when NotBefore passes, gone: the page's example of four documents."""
    endpoint = make_endpoint({"events": [REBOOT]})
    assert _state(endpoint) == (1, [])
    clock.advance(10)
    assert _state(endpoint) == (2, ["Scheduled"])
    clock.advance(899)
    assert _state(endpoint) == (2, ["Scheduled"])
    clock.advance(1)
    assert _state(endpoint) == (3, ["Started"])
    clock.advance(60)
    assert _state(endpoint) == (4, [])


def test_the_members_of_an_event(make_endpoint: MakeEndpoint, clock: Clock) -> None:
    """The members of an event."""
    event = REBOOT | {"source": "User", "description": "D", "resources": ["a", "b"]}
    endpoint = make_endpoint({"events": [event]})
    clock.advance(10)
    expected = {
        "EventId": "E1",
        "EventStatus": "Scheduled",
        "EventType": "Reboot",
        "ResourceType": "VirtualMachine",
        "Resources": ["a", "b"],
        "NotBefore": "Thu, 25 Jun 2026 12:15:10 GMT",
        "Description": "D",
        "EventSource": "User",
        "DurationInSeconds": 9,
    }
    assert endpoint.get(PATH, NEWEST)["Events"] == [expected]
    clock.advance(900)
    started = expected | {"EventStatus": "Started", "NotBefore": ""}
    assert endpoint.get(PATH, NEWEST)["Events"] == [started]


def test_an_approval_starts_it(make_endpoint: MakeEndpoint, clock: Clock) -> None:
    """An approval starts it."""
    endpoint = make_endpoint({"events": [REBOOT]})
    clock.advance(20)
    assert _approve(endpoint, "E1") == 200
    assert _state(endpoint) == (3, ["Started"])
    clock.advance(30)
    assert _approve(endpoint, "E1") == 200, "even if another VM already approved it"
    clock.advance(30)
    assert _state(endpoint) == (4, [])
    assert _approve(endpoint, "E1") == 400


def test_an_unknown_event_approves_nothing(make_endpoint: MakeEndpoint, clock: Clock) -> None:
    """An unknown event approves nothing."""
    endpoint = make_endpoint({"events": [REBOOT]})
    assert _approve(endpoint, "E1") == 400, "not announced yet"
    clock.advance(10)
    assert _approve(endpoint, "E1", "E2") == 400
    assert _state(endpoint) == (2, ["Scheduled"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"StartRequests": []}',
        b'{"StartRequests": [{}]}',
        b'{"StartRequests": [{"EventId": 1}]}',
        b'{"StartRequests": {"EventId": "E1"}}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_approval(endpoint: Endpoint, body: bytes) -> None:
    """A malformed approval."""
    answer = endpoint.send(PATH, NEWEST, method="POST", data=body)
    assert answer.status_code == 400
    assert "StartRequests" in answer.json["error"]


@pytest.mark.parametrize(
    ("member", "since", "earlier"),
    [
        ("Description", "2019-04-01", "2019-01-01"),
        ("EventSource", "2019-08-01", "2019-04-01"),
        ("DurationInSeconds", "2020-07-01", "2019-08-01"),
    ],
)
def test_a_member_by_version(
    make_endpoint: MakeEndpoint, clock: Clock, member: str, since: str, earlier: str
) -> None:
    """A member by version."""
    endpoint = make_endpoint({"events": [REBOOT]})
    clock.advance(10)
    assert member in endpoint.get(PATH, since)["Events"][0]
    assert member not in endpoint.get(PATH, earlier)["Events"][0]


@pytest.mark.parametrize(
    ("kind", "since", "earlier"),
    [
        ("Preempt", "2017-11-01", "2017-08-01"),
        ("Terminate", "2019-01-01", "2017-11-01"),
        ("Freeze", "2017-08-01", None),
        ("Reboot", "2017-08-01", None),
        ("Redeploy", "2017-08-01", None),
    ],
)
def test_a_type_by_version(
    make_endpoint: MakeEndpoint, kind: str, since: str, earlier: str | None
) -> None:
    """A type by version."""
    endpoint = make_endpoint({"events": [{"type": kind}]})
    assert [event["EventType"] for event in endpoint.get(PATH, since)["Events"]] == [kind]
    if earlier:
        assert endpoint.get(PATH, earlier)["Events"] == []


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [("Freeze", 900), ("Reboot", 900), ("Redeploy", 600), ("Preempt", 30), ("Terminate", 300)],
)
def test_the_minimum_notice(
    make_endpoint: MakeEndpoint, clock: Clock, kind: str, seconds: int
) -> None:
    """A row of the table of section "Event scheduling"."""
    assert MINIMUM_NOTICE[kind] == seconds
    endpoint = make_endpoint({"events": [{"type": kind}]})
    clock.advance(seconds - 1)
    assert _state(endpoint)[1] == ["Scheduled"]
    clock.advance(1)
    assert _state(endpoint)[1] == ["Started"]


def test_a_failure_has_started_at_once(make_endpoint: MakeEndpoint) -> None:
    """A failure has started at once."""
    assert _state(make_endpoint({"events": [{"type": "Reboot", "started": True}]}))[1] == [
        "Started"
    ]


def test_incarnations_never_repeat(make_endpoint: MakeEndpoint, clock: Clock) -> None:
    """Documents with the same incarnation are the same; it only ever rises."""
    events = [REBOOT, {"type": "Freeze", "id": "E2", "after": 300, "finish": 30}]
    endpoint = make_endpoint({"events": events})
    seen: dict[int, Any] = {}
    last = 0
    for _ in range(300):
        answer = endpoint.get(PATH, NEWEST)
        assert answer["DocumentIncarnation"] >= last
        last = answer["DocumentIncarnation"]
        assert seen.setdefault(last, answer) == answer
        clock.advance(5)
    assert last == 7


@pytest.mark.parametrize("query", [{"format": "text"}])
def test_another_format(endpoint: Endpoint, query: dict[str, str]) -> None:
    """Another format."""
    assert endpoint.ask(PATH, NEWEST, **query).status_code == 400


def test_another_element(endpoint: Endpoint) -> None:
    """Another element."""
    assert endpoint.ask(f"{PATH}/1", NEWEST).status_code == 404
