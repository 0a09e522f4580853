"""/_fake: trust, state, and the authority's AIA and CRL addresses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from attest.testing.imds import FakeImds
from tests.testing.imds.conftest import Clock, Endpoint, MakeEndpoint

DOCUMENT = "/metadata/attested/document"


def test_trust(endpoint: Endpoint) -> None:
    """Trust."""
    answer = endpoint.send("/_fake/trust.pem", None, headers={})
    found = x509.load_pem_x509_certificates(answer.data)
    assert set(found) == {*endpoint.authority.anchors, *endpoint.authority.intermediates}


def test_the_issuer_is_at_its_address(live: FakeImds) -> None:
    """The addresses are on loopback, and what they serve are the issuer's certificates."""
    signer = live.authority.signer
    access = signer.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    urls = [
        description.access_location.value
        for description in access
        if description.access_method == AuthorityInformationAccessOID.CA_ISSUERS
    ]
    assert urls
    for url in urls:
        with urlopen(url, timeout=5) as answer:
            assert answer.headers.get_content_type() == "application/pkix-cert"
            issuer = x509.load_der_x509_certificate(answer.read())
        assert url.startswith(live.url)
        signer.verify_directly_issued_by(issuer)


def test_the_crl_is_at_its_address(live: FakeImds) -> None:
    """The crl is at its address."""
    points = live.authority.signer.extensions.get_extension_for_class(
        x509.CRLDistributionPoints
    ).value
    names = [name.value for point in points for name in point.full_name or ()]
    assert names
    for url in names:
        with urlopen(url, timeout=5) as answer:
            assert answer.headers.get_content_type() == "application/pkix-crl"
            crl = x509.load_der_x509_crl(answer.read())
        assert crl.issuer == live.authority.signer.issuer
        assert crl.next_update_utc is not None
        assert crl.next_update_utc > datetime.now(UTC) + timedelta(minutes=1)


def test_every_address_of_the_authority_is_served(endpoint: Endpoint) -> None:
    """Every address of the authority is served."""
    authority = endpoint.authority
    for url in (*authority.certificates_by_url(), *authority.crls_by_url()):
        assert endpoint.send(urlsplit(url).path, None, headers={}).status_code == 200


def test_the_state_is_what_is_served(endpoint: Endpoint) -> None:
    """The state is what is served."""
    state = endpoint.get("/_fake/state")
    assert (state["vm"], state["cloud"], state["fault"]) == ("default", "public", None)
    assert state["compute"]["vmId"] == "5c08b38e-4d57-4c23-ac45-aca61037f084"
    assert state["identities"][0]["type"] == "system"


def test_the_vm_is_changed_at_run_time(endpoint: Endpoint) -> None:
    """The vm is changed at run time."""
    new = endpoint.patch(compute={"sku": "changed"}, tags={"a": "b"}, tenant_id="t")
    assert (new["compute"]["sku"], new["tags"], new["tenant_id"]) == ("changed", {"a": "b"}, "t")
    compute = endpoint.get("/metadata/instance/compute")
    assert (compute["sku"], compute["tags"]) == ("changed", "a:b")
    endpoint.patch(compute={"name": "n"})
    assert endpoint.get("/metadata/instance/compute")["sku"] == "changed", "changes add up"


def test_a_change_ends_the_cache(make_endpoint: MakeEndpoint) -> None:
    """A change ends the cache."""
    caching = make_endpoint(cache_nonce=True)
    first = caching.get(DOCUMENT)
    caching.patch(compute={"sku": "changed"})
    assert caching.get(DOCUMENT) != first


def test_the_switches(endpoint: Endpoint) -> None:
    """The switches."""
    endpoint.patch(cache_nonce=True)
    first = endpoint.get(DOCUMENT, nonce="1")
    assert endpoint.get(DOCUMENT, nonce="2") == first
    endpoint.patch(fault="content_padded")
    assert endpoint.get(DOCUMENT, nonce="1") != first
    endpoint.patch(cache_nonce=False, fault=None)
    assert endpoint.get(DOCUMENT, nonce="1") != endpoint.get(DOCUMENT, nonce="2")


def test_new_events_start_now(endpoint: Endpoint, clock: Clock) -> None:
    """New events start now."""
    clock.advance(1000)
    state = endpoint.patch(events=[{"type": "Preempt", "id": "E"}])
    assert state["events"] == [
        {
            "id": "E",
            "type": "Preempt",
            "announced": "2026-06-25T12:16:40+00:00",
            "start": "2026-06-25T12:17:10+00:00",
            "end": "2026-06-25T12:27:10+00:00",
        }
    ]


def test_new_events_raise_the_incarnation(make_endpoint: MakeEndpoint, clock: Clock) -> None:
    """A client that has seen a number must not take a later document for the same one."""
    path = "/metadata/scheduledevents"
    endpoint = make_endpoint({"events": [{"type": "Reboot", "notice": 1, "finish": 1}]})
    clock.advance(2)
    last = endpoint.get(path)["DocumentIncarnation"]
    for events in ([{"type": "Freeze"}], [{"type": "Freeze", "after": 5}], [{"type": "Preempt"}]):
        endpoint.patch(events=events)
        assert endpoint.get(path)["DocumentIncarnation"] > last
        last = endpoint.get(path)["DocumentIncarnation"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        '{"unknown": 1}',
        '{"vm": "other"}',
        '{"compute": {"unknown": "1"}}',
        '{"compute": {"plan": "x"}}',
        '{"cache_nonce": "yes"}',
        '{"fault": "nothing"}',
        '{"fault": 1}',
        '{"http_faults": {}}',
        '{"http_faults": [1]}',
        '{"http_faults": [{"path": "metadata", "status": 500}]}',
        '{"http_faults": [{"path": "/metadata", "status": 200}]}',
        '{"http_faults": [{"path": "/metadata", "status": 599}]}',
        '{"http_faults": [{"path": "/metadata", "status": 500, "times": "2"}]}',
        '{"http_faults": [{"path": "/metadata", "status": 500, "times": -1}]}',
        '{"http_faults": [{"path": "/metadata", "status": 500, "when": 2}]}',
        '{"tenant_id": null}',
        '{"tags": {"a": null}}',
        '{"identities": [{"client_id": {}}]}',
        '{"events": [{"type": "Freeze", "id": null}]}',
        '{"events": [{"type": "Freeze", "started": "no"}]}',
        '{"loadbalancer": {"inboundRules": [{"backendPort": [[]]}]}}',
        '{"classic": 1}',
        '{"events": [{"type": "Party"}]}',
        '{"cache_nonce": true, "tags": 1}',
    ],
)
def test_a_wrong_change_changes_nothing(endpoint: Endpoint, body: str) -> None:
    """A wrong change changes nothing."""
    before = endpoint.get("/_fake/state")
    client = endpoint.app.test_client()
    answer = client.patch("/_fake/state", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["error"].startswith("Bad request. ")
    assert endpoint.get("/_fake/state") == before


def test_another_address(endpoint: Endpoint) -> None:
    """Another address."""
    assert endpoint.ask("/_fake/other", None).status_code == 404
