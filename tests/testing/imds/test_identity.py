"""/metadata/identity: choosing the identity, the answer's shape, the tokens' signature."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.testing.imds.conftest import START, Clock, Endpoint, MakeEndpoint

TOKEN = "/metadata/identity/oauth2/token"
VAULT = "https://vault.azure.net"
ONE = {"client_id": "c1", "object_id": "o1", "msi_res_id": "/r/1"}
TWO = {"client_id": "c2", "object_id": "o2", "msi_res_id": "/r/2"}
SYSTEM = {"type": "system", "client_id": "c0", "object_id": "o0"}


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _claims(jwt: str, keys: list[dict[str, str]]) -> dict[str, Any]:
    """Verify a token with the JWKS, and return what it says."""
    header, claims, signature = jwt.split(".")
    kid = json.loads(_decode(header))["kid"]
    (jwk,) = [key for key in keys if key["kid"] == kid]
    numbers = (int.from_bytes(_decode(jwk[part])) for part in ("e", "n"))
    public_key = rsa.RSAPublicNumbers(*numbers).public_key()
    signed = f"{header}.{claims}".encode()
    public_key.verify(_decode(signature), signed, padding.PKCS1v15(), hashes.SHA256())
    found = json.loads(_decode(claims))
    assert isinstance(found, dict)
    return found


def test_the_answer(endpoint: Endpoint) -> None:
    """``IdentityTokenResponse``: every member a string, numbers included."""
    answer = endpoint.get(TOKEN, "2018-02-01", resource=VAULT)
    assert set(answer) == {
        "access_token",
        "client_id",
        "expires_in",
        "expires_on",
        "ext_expires_in",
        "not_before",
        "resource",
        "token_type",
    }
    assert all(isinstance(value, str) for value in answer.values())
    assert (answer["resource"], answer["token_type"]) == (VAULT, "Bearer")
    assert int(answer["expires_on"]) == START.timestamp() + int(answer["expires_in"])
    assert int(answer["not_before"]) < START.timestamp()


def test_the_token_is_signed_by_the_fake(make_endpoint: MakeEndpoint) -> None:
    """The token is signed by the fake."""
    endpoint = make_endpoint({"identities": [ONE], "tenant_id": "t"})
    jwt = endpoint.get(TOKEN, resource=VAULT)["access_token"]
    claims = _claims(jwt, endpoint.get("/_fake/jwks.json")["keys"])
    expected = {"aud": VAULT, "appid": "c1", "oid": "o1", "sub": "o1", "tid": "t"}
    assert {key: claims[key] for key in expected} == expected
    assert claims["iss"] == "https://sts.windows.net/t/"
    assert claims["nbf"] <= START.timestamp() < claims["exp"]


@pytest.mark.parametrize(
    ("identities", "query", "client_id"),
    [
        ([SYSTEM], {}, "c0"),
        ([ONE], {}, "c1"),
        ([SYSTEM, ONE, TWO], {}, "c0"),
        ([ONE, TWO], {"client_id": "c2"}, "c2"),
        ([ONE, TWO], {"client_id": "C2"}, "c2"),
        ([ONE, TWO], {"object_id": "o1"}, "c1"),
        ([ONE, TWO], {"msi_res_id": "/r/2"}, "c2"),
        ([ONE, TWO], {"mi_res_id": "/R/2"}, "c2"),
        ([SYSTEM, ONE], {"client_id": "c1"}, "c1"),
    ],
)
def test_which_identity(
    make_endpoint: MakeEndpoint,
    identities: list[dict[str, str]],
    query: dict[str, str],
    client_id: str,
) -> None:
    """Which identity."""
    endpoint = make_endpoint({"identities": identities})
    answer = endpoint.get(TOKEN, resource=VAULT, **query)
    assert answer["client_id"] == client_id
    for name, value in query.items():
        assert name == "client_id" or answer[name] == value


@pytest.mark.parametrize(
    ("identities", "query", "description"),
    [
        ([], {"resource": VAULT}, "Identity not found"),
        ([ONE], {"resource": VAULT, "client_id": "c9"}, "Identity not found"),
        ([ONE, TWO], {"resource": VAULT}, "Multiple user assigned identities exist"),
        ([ONE], {}, "resource"),
        ([ONE], {"resource": ""}, "resource"),
        ([ONE], {"resource": VAULT, "bypass_cache": "false"}, "bypass_cache"),
        ([ONE], {"resource": VAULT, "client_id": "c1", "object_id": "o1"}, "exclusive"),
        ([ONE], {"resource": VAULT, "msi_res_id": "/r/1", "object_id": "o1"}, "exclusive"),
        ([ONE], {"resource": VAULT, "format": "text"}, "format"),
    ],
)
def test_a_refusal(
    make_endpoint: MakeEndpoint,
    identities: list[dict[str, str]],
    query: dict[str, str],
    description: str,
) -> None:
    """``IdentityErrorResponse``."""
    answer = make_endpoint({"identities": identities}).ask(TOKEN, "2018-02-01", **query)
    assert answer.status_code == 400
    assert set(answer.json) == {"error", "error_description"}
    assert answer.json["error"] == "invalid_request"
    assert description in answer.json["error_description"]


def test_a_token_is_cached(endpoint: Endpoint, clock: Clock) -> None:
    """A token is cached."""
    first = endpoint.get(TOKEN, resource=VAULT)
    clock.advance(3600)
    second = endpoint.get(TOKEN, resource=VAULT)
    assert second["access_token"] == first["access_token"]
    assert second["expires_on"] == first["expires_on"]
    assert int(second["expires_in"]) == int(first["expires_in"]) - 3600
    fresh = endpoint.get(TOKEN, resource=VAULT, bypass_cache="true")
    assert fresh["access_token"] != first["access_token"]
    other = endpoint.get(TOKEN, resource="https://storage.azure.com")
    assert other["access_token"] != fresh["access_token"]


def test_a_cached_token_is_renewed_at_half_its_life(endpoint: Endpoint, clock: Clock) -> None:
    """A cached token is renewed at half its life."""
    first = endpoint.get(TOKEN, resource=VAULT)
    clock.advance(12 * 3600)
    assert endpoint.get(TOKEN, resource=VAULT)["access_token"] != first["access_token"]


def test_info(make_endpoint: MakeEndpoint) -> None:
    """Info."""
    path = "/metadata/identity/info"
    vm = {"identities": [SYSTEM], "tenant_id": "00000000-0000-0000-0000-000000000001"}
    answer = make_endpoint(vm).get(path, "2018-02-01")
    assert answer == {"tenantId": "00000000-0000-0000-0000-000000000001"}
    assert make_endpoint({"identities": [ONE]}).ask(path).status_code == 400


@pytest.mark.parametrize("element", ["", "/oauth2", "/oauth2/token/more", "/more"])
def test_another_element(endpoint: Endpoint, element: str) -> None:
    """Another element."""
    answer = endpoint.ask(f"/metadata/identity{element}")
    assert answer.status_code == 404
    assert answer.json["error"] == "not_found"


def test_a_missing_version(endpoint: Endpoint) -> None:
    """A missing version."""
    answer = endpoint.ask(TOKEN, None, resource=VAULT)
    assert answer.status_code == 400
    assert answer.json["error"] == "invalid_request"
    assert len(answer.json["newest-versions"]) == 3
