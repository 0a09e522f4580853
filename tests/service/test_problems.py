"""Every status and problem type that the service answers with."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from attest.testing import FakeAuthority
from service.app import service_of
from service.errors import ProblemType
from service.schemas import BatchResponse, ChainResponse, Problem, Readiness, TrustResponse
from tests.service.conftest import Clock, Make
from tests.service.test_verify import challenge, signed

JSON = "application/json"


def assert_problem(response: TestResponse, problem: ProblemType, code: str | None = None) -> None:
    """Assert that a response is that problem, whole."""
    assert response.status_code == problem.status, response.text
    assert response.content_type == "application/problem+json"
    body = response.get_json()
    Problem.model_validate(body)
    assert body["type"] == problem.uri
    assert body["title"] == problem.title
    assert body["status"] == problem.status
    assert body["code"] == (code or problem.kind)
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'\xef\xbb\xbf{"signature":""}',
        b'{"signature":"AA==","signature":"AA=="}',
        b'{"signature":"AA==","nonce":NaN}',
        b'{"signature":"AA==","nonce":1}',
        b'{"signature":"AA==","nonce":""}',
        b'{"signature":"AA==","nonces":"x"}',
        b'{"signature":"AA==","demands":{"max_age":"1"}}',
        b'{"signature":"AA==","demands":{"clouds":["mars"]}}',
        b'{"signature":"AA==","demands":{"plans":[{}]}}',
        b'{"signature":"AA==","intermediates":"x"}',
        b'{"a":' + b"[" * 90000 + b"]" * 90000 + b"}",
    ],
    ids=lambda body: body[:40].decode("ascii", "replace"),
)
def test_malformed_request(client: FlaskClient, body: bytes) -> None:
    """400, and a detail that repeats nothing that was sent."""
    response = client.post("/v1/verify", data=body, content_type=JSON)
    assert_problem(response, ProblemType.MALFORMED_REQUEST)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("path", ["/v1/verify", "/v1/verify/batch", "/v1/chain"])
def test_media_type(client: FlaskClient, path: str, content_type: str) -> None:
    """415 for anything but JSON."""
    response = client.post(path, data=b"{}", content_type=content_type)
    assert_problem(response, ProblemType.UNSUPPORTED_MEDIA_TYPE)


def test_body_too_large(make: Make) -> None:
    """413 before anything is parsed, whether the length is told or not."""
    client = make(max_body=1024, max_batch_body=2048).test_client()
    for path, size in (("/v1/verify", 1025), ("/v1/verify/batch", 2049), ("/v1/chain", 1025)):
        response = client.post(path, data=b"x" * size, content_type=JSON)
        assert_problem(response, ProblemType.BODY_TOO_LARGE)
        assert client.post(path, data=b"x" * 1024, content_type=JSON).status_code == 400
    chunked = {"wsgi.input_terminated": True}
    response = client.post(
        "/v1/verify",
        input_stream=__import__("io").BytesIO(b"x" * 5000),
        content_type=JSON,
        environ_overrides=chunked,
    )
    assert_problem(response, ProblemType.BODY_TOO_LARGE)


def test_not_found_and_method(client: FlaskClient) -> None:
    """404 and 405, the latter with Allow."""
    assert_problem(client.get("/v2"), ProblemType.NOT_FOUND)
    response = client.get("/v1/verify")
    assert_problem(response, ProblemType.METHOD_NOT_ALLOWED)
    assert response.headers["Allow"] == "POST"


def test_internal_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 says nothing about what happened; the log does."""
    app = make()
    service = service_of(app)

    def fail(*_args: object) -> None:
        raise RuntimeError("the secret")

    monkeypatch.setattr(type(service.challenges), "issue", fail)
    response = app.test_client().post("/v1/challenges")
    assert_problem(response, ProblemType.INTERNAL_ERROR)
    assert "secret" not in response.text


def test_database_away(
    make: Make, authority: FakeAuthority, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After, in a batch as well; what needs no database still works."""
    app = make(require_challenge=False)
    client = app.test_client()
    nonce = challenge(client)
    evidence = signed(authority, clock, nonce=nonce)
    body = {**evidence, "nonce": nonce}

    def refuse(*_args: object, **_values: object) -> None:
        from sqlalchemy.exc import OperationalError  # noqa: PLC0415 - only here

        raise OperationalError("SELECT", {}, Exception("away"))

    with monkeypatch.context() as patch:
        patch.setattr(service_of(app).database.engine, "connect", refuse)
        for response in (client.post("/v1/challenges"), client.post("/v1/verify", json=body)):
            assert_problem(response, ProblemType.UNAVAILABLE)
            assert int(response.headers["Retry-After"]) > 0
        outcomes = client.post("/v1/verify/batch", json={"items": [body, evidence]})
        assert [o.get("status") for o in outcomes.get_json()["outcomes"]] == [503, None]
        BatchResponse.model_validate_json(outcomes.data)
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert Readiness.model_validate_json(ready.data).checks["database"].ok is False
        assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.post("/v1/verify", json=body).status_code == 200


def test_not_ready(make: Make, clock: Clock) -> None:
    """/readyz is red when no anchor is valid any more."""
    client = make().test_client()
    assert client.get("/readyz").get_json()["test_trust"] is True
    clock.forward(30 * 365 * 86400)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["checks"]["trust_store"]["ok"] is False


def test_batch(make: Make, authority: FakeAuthority, clock: Clock) -> None:
    """Outcomes in order; one bad item harms no other; a challenge works once within a batch."""
    client = make().test_client()
    nonces = [challenge(client) for _ in range(3)]
    good = [{**signed(authority, clock, nonce=nonce), "nonce": nonce} for nonce in nonces]
    bad: list[Any] = [None, 1, [], {}, {"signature": 1}, {"signature": "!"}, {"nope": "x" * 9999}]
    response = client.post("/v1/verify/batch", json={"items": [good[0], *bad, good[0], *good[1:]]})
    assert response.status_code == 200
    BatchResponse.model_validate_json(response.data)
    told = [outcome.get("code", "verified") for outcome in response.get_json()["outcomes"]]
    assert told == [
        "verified",
        *["malformed_request"] * 3,
        *["evidence_malformed"] * 2,
        "evidence_not_base64",
        "evidence_malformed",
        "challenge_used",
        "verified",
        "verified",
    ]


def test_batch_limits(make: Make) -> None:
    """More than 1,000 items, or another shape, is refused whole."""
    client = make().test_client()
    response = client.post("/v1/verify/batch", json={"items": [{}] * 1001})
    assert_problem(response, ProblemType.BODY_TOO_LARGE)
    bodies: list[dict[str, Any]] = [{}, {"items": {}}, {"items": [], "more": 1}]
    for body in bodies:
        assert_problem(client.post("/v1/verify/batch", json=body), ProblemType.MALFORMED_REQUEST)
    assert client.post("/v1/verify/batch", json={"items": []}).get_json() == {"outcomes": []}


def test_chain(client: FlaskClient, authority: FakeAuthority, clock: Clock) -> None:
    """A signer certificate's path, at a time of the caller's choice."""
    pem = authority.signer.public_bytes(Encoding.PEM).decode()
    response = client.post("/v1/chain", json={"certificate": pem})
    assert response.status_code == 200, response.text
    ChainResponse.model_validate_json(response.data)
    assert response.get_json()["test_trust"] is True
    at = (clock() - timedelta(days=365)).isoformat()
    response = client.post("/v1/chain", json={"certificate": pem, "at": at})
    assert_problem(response, ProblemType.CHAIN_REJECTED, "certificate_not_yet_valid")
    assert response.get_json()["step"] == 8
    response = client.post("/v1/chain", json={"certificate": pem, "cloud": "china"})
    assert_problem(response, ProblemType.CHAIN_REJECTED, "cloud_not_allowed")
    for wrong in ({"certificate": "x"}, {"certificate": pem, "at": "2026"}, {"certificate": 1}):
        response = client.post("/v1/chain", json=wrong)
        assert_problem(response, ProblemType.MALFORMED_REQUEST)
    stranger = FakeAuthority().signer.public_bytes(Encoding.PEM).decode()
    response = client.post("/v1/chain", json={"certificate": stranger})
    assert response.status_code == 422


def test_trust(client: FlaskClient, authority: FakeAuthority) -> None:
    """The store lists what is trusted, the test authority included."""
    response = client.get("/v1/trust")
    TrustResponse.model_validate_json(response.data)
    subjects = {member["subject"] for member in response.get_json()["clouds"]["public"]}
    assert authority.anchors[0].subject.rfc4514_string() in subjects
    assert response.get_json()["test_trust"] is True


def test_no_body_repeats_what_was_sent(client: FlaskClient) -> None:
    """Problem details never echo a value that could be a script or a secret."""
    marker = "zz<script>zz"
    for body in (
        {"signature": "AA==", marker: 1},
        {"signature": "AA==", "nonce": [marker]},
        {"signature": marker, "encoding": marker},
    ):
        response = client.post("/v1/verify", data=json.dumps(body), content_type=JSON)
        assert response.status_code in {400, 422}
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.content_type == "application/problem+json"
