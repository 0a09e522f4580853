"""API keys, scopes, rate limits, proxies, exposure."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from flask import request
from flask.testing import FlaskClient

from attest.testing import FakeAuthority
from service.app import service_of
from service.errors import ProblemType
from service.keys import ApiKeyError, Scope
from service.server import check_exposure
from service.settings import SettingsError, load_settings
from tests.service.conftest import Clock, Make
from tests.service.test_problems import assert_problem
from tests.service.test_verify import signed


def bearer(key: str) -> dict[str, str]:
    """Return the header that presents a key."""
    return {"Authorization": f"Bearer {key}"}


def test_scopes(make: Make, clock: Clock) -> None:
    """Each endpoint needs its scope, and no scope implies another."""
    app = make()
    keys, client = service_of(app).keys, app.test_client()
    assert client.post("/v1/challenges").status_code == 201  # no key exists yet
    by_scope = {scope: keys.new(f"only-{scope}", [scope], clock()) for scope in Scope}
    needed = {
        ("POST", "/v1/challenges"): Scope.CHALLENGE,
        ("POST", "/v1/verify"): Scope.VERIFY,
        ("POST", "/v1/verify/batch"): Scope.VERIFY,
        ("POST", "/v1/chain"): Scope.VERIFY,
        ("GET", "/v1/trust"): Scope.VERIFY,
        ("GET", "/metrics"): Scope.ADMIN,
    }
    for (method, path), scope in needed.items():
        response = client.open(path, method=method)
        assert_problem(response, ProblemType.UNAUTHENTICATED)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        for other, key in by_scope.items():
            response = client.open(path, method=method, headers=bearer(key))
            if other is scope:
                assert response.status_code not in {401, 403}
            else:
                assert_problem(response, ProblemType.FORBIDDEN)
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
        assert client.get(path).status_code == 200


def test_wrong_keys(make: Make, clock: Clock) -> None:
    """A key that differs in anything is none; a revoked one is none for good."""
    app = make()
    keys, client = service_of(app).keys, app.test_client()
    key = keys.new("backend", [Scope.CHALLENGE], clock())
    head, key_id, secret = key.split("_", 2)
    flipped = ("B" if secret[0] == "A" else "A") + secret[1:]
    wrong = [
        "",
        key[:-1],
        key + "A",
        f"{head}_{key_id}_{flipped}",
        f"{head}_{'0' * 16}_{secret}",
        f"{head}_{key_id}_" + "\u00e9" * 43,
    ]
    for presented in wrong:
        value = f"Bearer {presented}".encode().decode("latin-1")
        assert client.post("/v1/challenges", headers={"Authorization": value}).status_code == 401
    assert client.post("/v1/challenges", headers={"Authorization": key}).status_code == 401
    lower = {"Authorization": f"bearer {key}"}
    assert client.post("/v1/challenges", headers=lower).status_code == 201
    keys.revoke("backend", clock())
    assert client.post("/v1/challenges", headers=bearer(key)).status_code == 401
    assert client.post("/v1/challenges").status_code == 401  # revoking opens nothing
    for name in ("backend", "nobody"):
        with pytest.raises(ApiKeyError, match="no key named"):
            keys.revoke(name, clock())


def test_revocation_reaches_other_processes(make: Make, clock: Clock) -> None:
    """Another process refuses a revoked key within two seconds."""
    first, second = make(), make()
    key = service_of(first).keys.new("backend", [Scope.CHALLENGE], clock())
    client = second.test_client()
    assert client.post("/v1/challenges", headers=bearer(key)).status_code == 201
    service_of(first).keys.revoke("backend", clock())
    time.sleep(2.1)
    assert client.post("/v1/challenges", headers=bearer(key)).status_code == 401


def test_key_store(make: Make, clock: Clock) -> None:
    """Only a hash is stored; names are unique and fit; the last use is remembered."""
    app = make()
    keys = service_of(app).keys
    key = keys.new("backend", [Scope.VERIFY, Scope.ADMIN], clock())
    with service_of(app).database.connect() as connection:
        stored = connection.exec_driver_sql("SELECT * FROM api_keys").one()
    assert key.split("_", 2)[2] not in str(stored)
    for name in ("backend", "", "a b", "x" * 65):
        with pytest.raises(ApiKeyError):
            keys.new(name, [Scope.VERIFY], clock())
    with pytest.raises(ApiKeyError, match="at least one scope"):
        keys.new("other", [], clock())
    assert keys.list()[0].last_used_at is None
    clock.forward(60)
    assert keys.authenticate(key, clock()) is not None
    (listed,) = keys.list()
    assert listed.last_used_at is not None
    assert abs((listed.last_used_at - clock()).total_seconds()) < 0.01
    assert listed.scopes == {Scope.VERIFY, Scope.ADMIN}


def limited(client: FlaskClient, headers: dict[str, str] | None = None) -> int:
    """Count how many requests pass before one is refused."""
    for count in range(20):
        response = client.post("/v1/challenges", headers=headers)
        if response.status_code == 429:
            assert_problem(response, ProblemType.RATE_LIMITED)
            assert 1 <= int(response.headers["Retry-After"]) <= 60
            return count
        assert response.status_code in {201, 401}
    return 20


def test_rate_limits(make: Make, clock: Clock) -> None:
    """Per key and per address; wrong keys count; health checks do not."""
    app = make(rate_limit_per_key="3/minute", rate_limit_per_address="7/minute")
    keys, client = service_of(app).keys, app.test_client()
    first = bearer(keys.new("first", [Scope.CHALLENGE], clock()))
    second = bearer(keys.new("second", [Scope.CHALLENGE], clock()))
    assert limited(client, first) == 3
    assert limited(client, second) == 3
    assert limited(client, bearer("wrong")) == 0
    assert all(client.get("/healthz").status_code == 200 for _ in range(20))
    open_app = make(rate_limit_per_address="1/minute", rate_limit_enabled=False)
    assert limited(open_app.test_client(), first) == 20


def test_rate_limit_in_redis(make: Make) -> None:
    """With Redis, instances count together; without it, each by itself."""
    redis = pytest.importorskip("redis")
    url = "redis://127.0.0.1:6379/13"
    try:
        redis.Redis.from_url(url).ping()
    except redis.exceptions.ConnectionError as error:
        pytest.skip(f"no Redis at {url}: {error}")
    redis.Redis.from_url(url).flushdb()
    settings = {"rate_limit_storage": url, "rate_limit_per_address": "5/minute"}
    one, two = make(**settings).test_client(), make(**settings).test_client()
    assert [one.post("/v1/challenges").status_code for _ in range(3)] == [201] * 3
    assert limited(two) == 2
    redis.Redis.from_url(url).flushdb()
    away = make(**{**settings, "rate_limit_storage": "redis://127.0.0.1:1/0"}).test_client()
    assert limited(away) == 5


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "192.0.2.7")])
def test_proxies(make: Make, proxies: int, address: str) -> None:
    """X-Forwarded-For counts only as far as proxies are trusted."""
    app = make(trusted_proxies=proxies)
    seen = []
    app.before_request(lambda: seen.append(request.remote_addr))
    app.test_client().get("/healthz", headers={"X-Forwarded-For": "203.0.113.9, 192.0.2.7"})
    assert seen == [address]


@pytest.mark.parametrize(
    ("settings", "has_keys", "refused"),
    [
        ({"bind": "127.0.0.1:80"}, False, False),
        ({"bind": "[::1]:80"}, False, False),
        ({"bind": "localhost:80"}, False, False),
        ({"bind": "0.0.0.0:80"}, False, True),
        ({"bind": "[::]:80"}, False, True),
        ({"bind": "example.com:80"}, False, True),
        ({"bind": "127.0.0.1:80", "trusted_proxies": 1}, False, True),
        ({"bind": "0.0.0.0:80"}, True, False),
        ({"bind": "0.0.0.0:80", "insecure_no_auth": True}, False, False),
    ],
)
def test_exposure(settings: dict[str, Any], has_keys: bool, refused: bool) -> None:
    """Without any key, only this machine may ask, unless the operator insists."""
    loaded = load_settings(**settings)
    if refused:
        with pytest.raises(SettingsError, match="no API key exists"):
            check_exposure(loaded, has_keys=has_keys)
    else:
        check_exposure(loaded, has_keys=has_keys)


def test_key_is_never_logged(
    make: Make,
    authority: FakeAuthority,
    clock: Clock,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the decision's line nor any other holds the key; its name is there."""
    caplog.set_level(logging.DEBUG)
    app = make(require_challenge=False)
    key = service_of(app).keys.new("backend", [Scope.VERIFY], clock())
    headers = bearer(key)
    client = app.test_client()
    assert client.post("/v1/verify", json=signed(authority, clock), headers=headers).status_code
    client.post("/v1/verify", json={"signature": key}, headers=headers)
    client.post("/v1/challenges", headers=headers)
    out, err = capfd.readouterr()
    secret = key.split("_", 2)[2]
    assert secret not in out + err + caplog.text
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["key"] for line in lines] == ["backend", "backend"]


def test_headers(client: FlaskClient) -> None:
    """Security headers on every answer, of whatever kind."""
    for path in ("/healthz", "/nope", "/v1/trust", "/docs"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Strict-Transport-Security" not in headers
    secure = client.get("/healthz", base_url="https://localhost").headers
    assert "max-age" in secure["Strict-Transport-Security"]


def test_unreadable_file(tmp_path: Path) -> None:
    """A TLS key that is not there is told by name."""
    missing = tmp_path / "key.pem"
    with pytest.raises(SettingsError, match=r"tls_key: .*key\.pem does not exist"):
        load_settings(tls_key=missing)
