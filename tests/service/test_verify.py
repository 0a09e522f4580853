"""``POST /v1/verify`` and ``/v1/challenges`` by the Flask client, on both databases."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from attest import Plan
from attest.testing import FakeAuthority
from service.schemas import Challenge, Result
from tests.service.conftest import Clock, Make

PLAN = {"name": "gold", "product": "offer", "publisher": "us"}


def challenge(client: FlaskClient) -> str:
    """Get a challenge."""
    response = client.post("/v1/challenges")
    assert response.status_code == 201
    nonce: str = response.get_json()["nonce"]
    return nonce


def signed(authority: FakeAuthority, clock: Clock, **fields: Any) -> dict[str, Any]:
    """Return what IMDS would answer at the clock's time."""
    fields.setdefault("created_on", clock().replace(microsecond=0))
    answer: dict[str, Any] = json.loads(authority.sign(**fields).json)
    return answer


def assert_rejected(response: TestResponse, code: str, step: int) -> None:
    """Assert a 422 with a code."""
    assert response.status_code == 422, response.text
    assert response.content_type == "application/problem+json"
    problem = response.get_json()
    assert (problem["code"], problem["step"]) == (code, step)
    assert problem["type"] == "urn:imds-attest:problem:evidence_rejected"
    assert problem["status"] == 422
    assert problem["request_id"] == response.headers["X-Request-ID"]


def test_main_job(client: FlaskClient, authority: FakeAuthority, clock: Clock) -> None:
    """A challenge, the document that answers it, and never the same again."""
    response = client.post("/v1/challenges")
    Challenge.model_validate_json(response.data)
    nonce = response.get_json()["nonce"]
    evidence = signed(authority, clock, nonce=nonce)
    response = client.post("/v1/verify", json={**evidence, "nonce": nonce})
    assert response.status_code == 200, response.text
    Result.model_validate_json(response.data)
    result = response.get_json()
    assert result["verified"] is True
    assert result["freshness"] == "challenge"
    assert result["test_trust"] is True
    assert result["document"]["nonce"] == nonce
    assert result["chain"][-1]["origin"] == "operator"
    again = client.post("/v1/verify", json={**evidence, "nonce": nonce})
    assert_rejected(again, "challenge_used", 7)


def test_junk_does_not_use_a_challenge(
    client: FlaskClient, authority: FakeAuthority, clock: Clock
) -> None:
    """Forged evidence leaves the challenge to the good one."""
    nonce = challenge(client)
    evidence = signed(authority, clock, nonce=nonce)
    stranger = signed(FakeAuthority(now=clock), clock, nonce=nonce)
    octets = bytearray(base64.b64decode(evidence["signature"]))
    octets[-1] ^= 1
    changed = {**evidence, "signature": base64.b64encode(octets).decode()}
    for forged in (stranger, changed):
        response = client.post("/v1/verify", json={**forged, "nonce": nonce})
        assert response.status_code == 422
        assert response.get_json()["code"] in {
            "path_invalid",
            "issuer_unknown",
            "signature_invalid",
        }
    assert client.post("/v1/verify", json={**evidence, "nonce": nonce}).status_code == 200


def test_challenge_rules(client: FlaskClient, authority: FakeAuthority, clock: Clock) -> None:
    """A nonce is needed, ours, and the one in the document."""
    evidence = signed(authority, clock, nonce="0123456789")
    assert_rejected(client.post("/v1/verify", json=evidence), "nonce_required", 7)
    unknown = client.post("/v1/verify", json={**evidence, "nonce": "0123456789"})
    assert_rejected(unknown, "challenge_unknown", 7)
    other = client.post("/v1/verify", json={**evidence, "nonce": challenge(client)})
    assert_rejected(other, "nonce_mismatch", 7)


@pytest.mark.parametrize(("seconds", "code"), [(119.9, None), (120, "challenge_expired")])
def test_challenge_expires(
    client: FlaskClient, authority: FakeAuthority, clock: Clock, seconds: float, code: str | None
) -> None:
    """A challenge is good for 120 seconds, and not one millisecond more."""
    nonce = challenge(client)
    evidence = signed(authority, clock, nonce=nonce)
    clock.forward(seconds)
    response = client.post("/v1/verify", json={**evidence, "nonce": nonce})
    if code is None:
        assert response.status_code == 200
    else:
        assert_rejected(response, code, 7)


def test_sweep_forgets_only_what_cannot_matter(
    make: Make, authority: FakeAuthority, clock: Clock
) -> None:
    """Evidence is remembered until it has expired; unused challenges for an hour."""
    app = make(max_age=86400)
    service = app.extensions["attest"]
    client = app.test_client()
    clock.now = clock.now.replace(microsecond=0)
    nonce, unused = challenge(client), challenge(client)
    evidence = signed(authority, clock, nonce=nonce)
    assert client.post("/v1/verify", json={**evidence, "nonce": nonce}).status_code == 200
    clock.forward(6 * 3600 + 120)  # the document's end, and the skew
    swept = service.challenges.sweep(clock())
    assert (swept.used, swept.expired) == (0, 1)
    again = client.post("/v1/verify", json={**evidence, "nonce": nonce})
    assert_rejected(again, "challenge_used", 7)
    clock.forward(2)
    swept = service.challenges.sweep(clock())
    assert (swept.used, swept.expired) == (1, 0)
    again = client.post("/v1/verify", json={**evidence, "nonce": nonce})
    assert_rejected(again, "document_expired", 7)
    late = signed(authority, clock, nonce=unused)
    response = client.post("/v1/verify", json={**late, "nonce": unused})
    assert_rejected(response, "challenge_unknown", 7)


def test_callers_nonce(make: Make, authority: FakeAuthority, clock: Clock) -> None:
    """Where it is allowed, a nonce of the caller's own does, once for each document."""
    client = make(allow_caller_nonce=True).test_client()
    evidence = signed(authority, clock, nonce="my-own")
    response = client.post("/v1/verify", json={**evidence, "nonce": "my-own"})
    assert response.get_json()["freshness"] == "challenge"
    again = client.post("/v1/verify", json={**evidence, "nonce": "my-own"})
    assert_rejected(again, "evidence_replayed", 7)
    other = signed(authority, clock, nonce="my-own", vm_id=str(UUID(int=9)))
    assert client.post("/v1/verify", json={**other, "nonce": "my-own"}).status_code == 200
    # A challenge of ours keeps its rules all the same.
    nonce = challenge(client)
    evidence = signed(authority, clock, nonce=nonce)
    assert client.post("/v1/verify", json={**evidence, "nonce": nonce}).status_code == 200
    again = client.post("/v1/verify", json={**evidence, "nonce": nonce})
    assert_rejected(again, "challenge_used", 7)


def test_same_content_is_never_verified_twice(
    make: Make, authority: FakeAuthority, clock: Clock
) -> None:
    """Not even for an open challenge with that very nonce: the content is remembered."""
    app = make(allow_caller_nonce=True)
    client, service = app.test_client(), app.extensions["attest"]
    nonce = "1234567890"
    evidence = authority.sign(nonce=nonce, created_on=clock().replace(microsecond=0))
    body = {**json.loads(evidence.json), "nonce": nonce}
    assert client.post("/v1/verify", json=body).status_code == 200
    from sqlalchemy import insert, select  # noqa: PLC0415 - white box

    from service.database import CHALLENGES  # noqa: PLC0415

    with service.database.connect() as connection:
        (known,) = connection.execute(select(CHALLENGES.c.evidence_sha256)).scalars()
        assert known == hashlib.sha256(evidence.content).hexdigest()
        row = {"nonce": nonce, "expires_at": 2**52, "keep_until": 2**52}
        connection.execute(insert(CHALLENGES), row)
    assert_rejected(client.post("/v1/verify", json=body), "evidence_replayed", 7)


def test_time_alone(make: Make, authority: FakeAuthority, clock: Clock) -> None:
    """Where no challenge is required, the document's own times do, and the result says so."""
    client = make(require_challenge=False).test_client()
    evidence = signed(authority, clock)
    for _ in range(2):
        response = client.post("/v1/verify", json=evidence)
        assert (response.status_code, response.get_json()["freshness"]) == (200, "time")
    nonce = challenge(client)
    answer = signed(authority, clock, nonce=nonce)
    response = client.post("/v1/verify", json={**answer, "nonce": nonce})
    assert response.get_json()["freshness"] == "challenge"
    again = client.post("/v1/verify", json={**answer, "nonce": nonce})
    assert_rejected(again, "challenge_used", 7)


@pytest.mark.parametrize(
    ("offset", "code"),
    [
        (-120, None),
        (-121, "document_not_yet_valid"),
        (300 + 120, None),
        (300 + 121, "document_too_old"),
    ],
)
def test_clock_skew(
    make: Make, authority: FakeAuthority, clock: Clock, offset: int, code: str | None
) -> None:
    """The default policy: max_age 300 s, skew 120 s, both ends included."""
    client = make(require_challenge=False).test_client()
    clock.now = clock.now.replace(microsecond=0)
    evidence = signed(authority, clock)
    clock.forward(offset)
    response = client.post("/v1/verify", json=evidence)
    if code is None:
        assert response.status_code == 200
    else:
        assert_rejected(response, code, 7)


def test_digits10(make: Make) -> None:
    """Challenges of ten digits, for those who keep to Azure's page."""
    client = make(challenge_format="digits10").test_client()
    nonces = {challenge(client) for _ in range(20)}
    assert all(len(nonce) == 10 and nonce.isdigit() for nonce in nonces)
    assert len(nonces) > 15


def test_default_challenge(client: FlaskClient) -> None:
    """32 lower-case hexadecimal characters."""
    nonce = challenge(client)
    assert len(nonce) == 32
    assert set(nonce) <= set("0123456789abcdef")


NARROWER: list[tuple[dict[str, Any], str | None]] = [
    ({"clouds": ["public"]}, None),
    ({"clouds": ["china"]}, "cloud_not_allowed"),
    ({"clouds": []}, "cloud_not_allowed"),
    ({"max_age": 0}, None),  # within the skew
    ({"subscriptions": []}, "subscription_not_allowed"),
    ({"vms": [str(UUID(int=1))]}, "vm_not_allowed"),
    ({"plans": [{"publisher": "us"}]}, None),
    ({"plans": [{"publisher": "them"}]}, "plan_not_allowed"),
    ({"skus": ["none"]}, "sku_not_allowed"),
    ({"license_types": ["Windows_Server"]}, "license_type_not_allowed"),
    ({"regions": ["eastus"]}, None),
    ({"regions": ["mars"]}, "region_not_allowed"),
]


@pytest.mark.parametrize(("demands", "code"), NARROWER, ids=str)
def test_demands_narrow(
    client: FlaskClient,
    authority: FakeAuthority,
    clock: Clock,
    demands: dict[str, Any],
    code: str | None,
) -> None:
    """What the request demands counts beside the server's policy, before the challenge."""
    nonce = challenge(client)
    evidence = signed(authority, clock, nonce=nonce, plan=Plan(**PLAN))
    body = {**evidence, "nonce": nonce, "demands": demands}
    response = client.post("/v1/verify", json=body)
    if code is not None:
        assert_rejected(response, code, 4 if code == "cloud_not_allowed" else 10)
        response = client.post("/v1/verify", json={**evidence, "nonce": nonce})
    assert response.status_code == 200, response.text


def test_demands_never_widen(make: Make, authority: FakeAuthority, clock: Clock) -> None:
    """A request that allows more than the server does gets what the server allows."""
    settings = {"plans": [{"name": "silver"}], "clouds": ["public"], "max_age": 10, "skew": 0}
    client = make(require_challenge=False, **settings).test_client()
    clock.now = clock.now.replace(microsecond=0)
    evidence = signed(authority, clock, plan=Plan(**PLAN))
    demands: dict[str, Any] = {"plans": [PLAN], "clouds": ["public", "usgov"], "max_age": 86400}
    response = client.post("/v1/verify", json={**evidence, "demands": demands})
    assert_rejected(response, "plan_not_allowed", 10)
    clock.forward(11)
    response = client.post("/v1/verify", json={**evidence, "demands": demands})
    assert_rejected(response, "document_too_old", 7)


def test_age_demanded_of_a_document_without_times(
    make: Make, authority: FakeAuthority, clock: Clock
) -> None:
    """A classic VM's document has no age, and so does not meet a demand for one."""
    client = make(allow_missing_timestamps=True).test_client()
    nonce = challenge(client)
    content = json.dumps({"vmId": str(UUID(int=3)), "nonce": nonce}).encode()
    evidence = json.loads(authority.sign(content=content).json)
    body = {**evidence, "nonce": nonce}
    response = client.post("/v1/verify", json={**body, "demands": {"max_age": 300}})
    assert_rejected(response, "document_field_missing", 6)
    response = client.post("/v1/verify", json=body)
    assert response.status_code == 200, response.text
    Result.model_validate_json(response.data)


def test_intermediates(make: Make, clock: Clock, tmp_path: Any) -> None:
    """An issuer that the store lacks may come with the request, and is never an anchor."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    authority = FakeAuthority(now=clock)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in authority.anchors))
    client = make(test_trust=roots, require_challenge=False).test_client()
    evidence = signed(authority, clock)
    assert_rejected(client.post("/v1/verify", json=evidence), "issuer_unknown", 8)
    stranger = FakeAuthority(now=clock).trust_pem().decode()
    response = client.post("/v1/verify", json={**evidence, "intermediates": [stranger]})
    assert_rejected(response, "issuer_unknown", 8)
    links = [c.public_bytes(Encoding.PEM).decode() for c in authority.intermediates]
    response = client.post("/v1/verify", json={**evidence, "intermediates": links})
    assert response.status_code == 200, response.text
    assert response.get_json()["chain"][1]["origin"] == "operator"
    assert client.post("/v1/verify", json={**evidence, "intermediates": ["?"]}).status_code == 400


def test_operators_intermediates(make: Make, clock: Clock, tmp_path: Any) -> None:
    """The setting for the day when Azure rotates its CAs, before the next release."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    authority = FakeAuthority(now=clock)
    roots, links = tmp_path / "roots.pem", tmp_path / "links.pem"
    roots.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in authority.anchors))
    links.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in authority.intermediates))
    client = make(test_trust=roots, intermediates=links, require_challenge=False).test_client()
    assert client.post("/v1/verify", json=signed(authority, clock)).status_code == 200
