"""Metrics, logs, traces, documentation."""

from __future__ import annotations

import json
import os
import re
import select
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

import service
from attest import Cloud
from attest.testing import FakeAuthority
from service import metrics
from service.app import service_of
from service.errors import ProblemType
from service.logs import MAX_WAITING, DecisionLog
from service.tracing import read_trace
from tests.service.conftest import Clock, Make
from tests.service.test_verify import challenge, signed

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def samples(client: FlaskClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the metrics by name and labels."""
    response = client.get("/metrics")
    assert response.content_type == metrics.CONTENT_TYPE
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_metrics(make: Make, authority: FakeAuthority, clock: Clock) -> None:
    """What happened is counted, once."""
    app = make()
    client = app.test_client()
    before = samples(client)
    nonce, _unused = challenge(client), challenge(client)
    evidence = signed(authority, clock, nonce=nonce)
    for _ in range(2):
        client.post("/v1/verify", json={**evidence, "nonce": nonce})
    stranger = FakeAuthority(now=clock).sign(created_on=clock().replace(microsecond=0), nonce="1")
    client.post("/v1/verify", json={**json.loads(stranger.json), "nonce": "1"})
    clock.forward(3 * 3600)
    service_of(app).sweep()
    after = samples(client)

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0)

    assert grown("attest_verifications_total", result="verified", code="verified") == 1
    assert grown("attest_verifications_total", result="rejected", code="challenge_used") == 1
    assert grown("attest_verification_seconds_count", route="verify") == 3
    assert grown("attest_challenges_total", event="issued") == 2
    assert grown("attest_challenges_total", event="used") == 1
    assert grown("attest_challenges_total", event="expired") == 1
    assert grown("attest_responses_total", route="verify", status="422") == 2
    expiry = [key for key in after if "certificate_expiry" in key[0]]
    assert len(expiry) == sum(
        len(service_of(app).store.anchors_for(c)) + len(service_of(app).store.intermediates_for(c))
        for c in Cloud
    )
    assert all(after[key] > 946684800 for key in expiry)


def test_unknown_issuer_is_counted(make: Make, clock: Clock, tmp_path: Path) -> None:
    """The alarm for the day when Azure rotates its CAs."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    authority = FakeAuthority(now=clock)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in authority.anchors))
    client = make(test_trust=roots, require_challenge=False).test_client()
    key = ("attest_unknown_issuers_total", ())
    before = samples(client)[key]
    client.post("/v1/verify", json=signed(authority, clock))
    assert samples(client)[key] == before + 1


def test_decision_log(make: Make, authority: FakeAuthority, clock: Clock, tmp_path: Path) -> None:
    """One line for each decision, tied to the request, with what an auditor asks for."""
    lines = tmp_path / "decisions.log"
    app = make(require_challenge=False)
    inner = service_of(app)
    descriptor = os.open(lines, os.O_WRONLY | os.O_CREAT)
    object.__setattr__(inner, "decisions", DecisionLog(descriptor))
    evidence = signed(authority, clock)
    headers = {"X-Request-ID": "abc-1", "traceparent": PARENT}
    response = app.test_client().post(
        "/v1/verify/batch", json={"items": [evidence, {"signature": "!"}]}, headers=headers
    )
    os.close(descriptor)
    assert response.headers["X-Request-ID"] == "abc-1"
    good, bad = (json.loads(line) for line in lines.read_text().splitlines())
    for line in (good, bad):
        assert line["request_id"] == "abc-1"
        assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
        assert line["message"] == "decision"
        assert re.fullmatch("[0-9a-f]{64}", line["evidence_sha256"])
    result = response.get_json()["outcomes"][0]
    assert good["result"] == "verified"
    assert good["vm_id"] == result["document"]["vm_id"]
    assert good["subscription_id"] == result["document"]["subscription_id"]
    assert good["signer_sha256"] == result["signer"]["sha256"]
    assert (bad["result"], bad["code"], bad["step"]) == ("rejected", "evidence_not_base64", 1)


@pytest.mark.parametrize(
    ("header", "trace_id", "flags"),
    [
        (PARENT, "0af7651916cd43dd8448eb211c80319c", "01"),
        ("cc" + PARENT[2:] + "-more", "0af7651916cd43dd8448eb211c80319c", "01"),
        (PARENT + "-more", None, "00"),
        ("ff" + PARENT[2:], None, "00"),
        (PARENT.upper(), None, "00"),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", None, "00"),
        ("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", None, "00"),
        ("", None, "00"),
        (None, None, "00"),
    ],
)
def test_traceparent(header: str | None, trace_id: str | None, flags: str) -> None:
    """W3C Trace Context: a good parent is carried on, a bad one starts a new trace."""
    trace = read_trace(None, header)
    assert trace.flags == flags
    if trace_id is not None:
        assert (trace.trace_id, trace.parent_id) == (trace_id, "b7ad6b7169203331")
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", trace.traceparent)
    assert trace.span_id != "b7ad6b7169203331"


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 129, "a\nb", "\u00e9"])
def test_bad_request_id(request_id: str) -> None:
    """A request id that could forge a log line is replaced."""
    assert re.fullmatch("[0-9a-f]{32}", read_trace(request_id, None).request_id)


def test_openapi(client: FlaskClient) -> None:
    """The document is valid OpenAPI 3.1 and holds every endpoint and status."""
    document = client.get("/openapi.json").get_json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    rules = {
        (rule.rule, method.lower())
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    told = {(path, method) for path, item in document["paths"].items() for method in item}
    assert told == rules
    assert "422" in document["paths"]["/v1/verify"]["post"]["responses"]


def test_docs(client: FlaskClient) -> None:
    """One page, with every path, that loads nothing."""
    response = client.get("/docs")
    assert response.content_type.startswith("text/html")
    assert "/v1/verify/batch" in response.text
    assert "<script" not in response.text
    assert not re.search(r"(src|href)=\"(https?:)?//", response.text)


def test_problem_types_are_documented() -> None:
    """docs/service.md lists each problem type with its status."""
    text = (Path(service.__file__).parent.parent / "docs/service.md").read_text()
    for problem in ProblemType:
        assert re.search(rf"^\| {problem.status} \| `{problem.kind}` \|", text, re.MULTILINE)


def test_decision_log_in_pieces() -> None:
    """A pipe with several writers keeps lines whole only up to PIPE_BUF octets at a time."""
    read, write = os.pipe()
    lines = [{"n": n, "detail": "x" * 300} for n in range(40)]
    DecisionLog(write).write(lines, {"request_id": "r"})
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        told = [json.loads(line) for line in stream]
    assert [line["n"] for line in told] == list(range(40))
    assert {line["request_id"] for line in told} == {"r"}


def test_decision_log_of_a_worker() -> None:
    """A worker's lines wait for each other, not long, and none is lost when many wait."""
    read, write = os.pipe()
    log = DecisionLog(write)
    log.start()
    log.write([{"n": 0}], {})
    assert select.select([read], [], [], 10)[0], "the line was never written"
    for n in range(1, 100):
        log.write([{"n": n}], {})
    log.flush()
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        assert [json.loads(line)["n"] for line in stream] == list(range(100))


def test_decision_log_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded: the request that finds too much writes it, and fails if it must."""
    read, write = os.pipe()
    os.close(read)
    log = DecisionLog(write)
    monkeypatch.setattr("service.logs.COLLECT_SECONDS", 3600)
    log.start()
    log.write([{"n": n} for n in range(MAX_WAITING)], {})
    with pytest.raises(BrokenPipeError):
        log.write([{"n": MAX_WAITING}], {})
    os.close(write)
