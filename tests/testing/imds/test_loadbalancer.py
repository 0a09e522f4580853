"""/metadata/loadbalancer."""

from __future__ import annotations

from tests.testing.imds.conftest import Endpoint, MakeEndpoint

PATH = "/metadata/loadbalancer"
RULE = {
    "frontendIpAddress": "50.0.0.1",
    "protocol": "tcp",
    "frontendPort": 80,
    "backendPort": 443,
    "privateIpAddress": "10.1.0.4",
}


def test_the_default(endpoint: Endpoint) -> None:
    """The default."""
    answer = endpoint.get(PATH, "2020-10-01")
    assert list(answer["loadbalancer"]) == ["publicIpAddresses", "inboundRules", "outboundRules"]
    assert endpoint.ask(PATH, "2020-09-01").status_code == 400


def test_rules_keep_their_numbers(make_endpoint: MakeEndpoint) -> None:
    """Rules keep their numbers."""
    answer = make_endpoint({"loadbalancer": {"inboundRules": [RULE]}}).get(PATH)
    assert answer["loadbalancer"]["inboundRules"] == [RULE]


def test_behind_none(make_endpoint: MakeEndpoint) -> None:
    """Behind none."""
    for description in ({"loadbalancer": False}, {"classic": True}):
        answer = make_endpoint(description).ask(PATH)
        assert answer.status_code == 404
        assert "No load balancer metadata is found" in answer.json["error"]


def test_it_has_no_parts(endpoint: Endpoint) -> None:
    """It has no parts."""
    assert endpoint.ask(f"{PATH}/publicIpAddresses").status_code == 404
    assert endpoint.ask(PATH, format="text").status_code == 400
