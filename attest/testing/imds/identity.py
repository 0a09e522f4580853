"""``/metadata/identity``: access tokens of the VM's managed identities.

Sources: the page "Acquire an access token" and the REST specification (``Identity_GetToken``,
``Identity_GetInfo``, ``IdentityErrorResponse``).
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from flask import Response

from attest.testing.imds import errors
from attest.testing.imds.call import Call, reply
from attest.testing.imds.parts import Identity
from attest.testing.imds.state import CachedToken, Emulator

LIFETIME = timedelta(hours=24)
_RENEW = LIFETIME / 2
_CLOCK_SKEW = timedelta(minutes=5)
# Query parameter -> the attribute of the identity that it names.
_SELECTORS = {
    "client_id": "client_id",
    "object_id": "object_id",
    "msi_res_id": "msi_res_id",
    "mi_res_id": "msi_res_id",
}


def identity(call: Call, emulator: Emulator) -> Response:
    """Answer ``oauth2/token`` and ``info``.

    Raises:
        RefusalError: 404 for another element; 400 for a request that is wrong.
    """
    if call.query.get("format", "json") != "json":
        raise errors.bad_request("The format is not supported: json")
    if call.route == ("info",):
        return _info(emulator)
    if call.route != ("oauth2", "token"):
        raise errors.not_found()
    return _token(call, emulator)


def _info(emulator: Emulator) -> Response:
    if not any(one.system for one in emulator.vm.identities):
        raise errors.bad_request("Identity not found")
    return reply({"tenantId": emulator.vm.tenant_id})


def _token(call: Call, emulator: Emulator) -> Response:
    resource = call.query.get("resource", "")
    if not resource:
        raise errors.bad_request("Required query variable 'resource' is missing")
    bypass = call.query.get("bypass_cache")
    if bypass not in (None, "true"):
        raise errors.bad_request("Query variable 'bypass_cache' must be 'true'")
    given = [name for name in _SELECTORS if name in call.query]
    chosen = _choose(call, emulator, given)
    cached = _issue(emulator, chosen, resource, bypass=bypass is not None)
    expires = cached.issued + LIFETIME
    left = int((expires - emulator.clock()).total_seconds())
    body = {
        "access_token": cached.jwt,
        "client_id": chosen.client_id,
        "expires_in": str(left),
        "expires_on": str(int(expires.timestamp())),
        "ext_expires_in": str(left),
        "not_before": str(int((cached.issued - _CLOCK_SKEW).timestamp())),
        "resource": resource,
        "token_type": "Bearer",
    }
    return reply(body | {name: call.query[name] for name in given if name != "client_id"})


def _choose(call: Call, emulator: Emulator, given: list[str]) -> Identity:
    """Find the identity: the one named, else the system's, else the only one."""
    assigned = emulator.vm.identities
    if len(given) > 1:
        raise errors.bad_request(f"{' and '.join(given)} are mutually exclusive")
    if given:
        wanted = call.query[given[0]].lower()
        attribute = _SELECTORS[given[0]]
        assigned = tuple(one for one in assigned if getattr(one, attribute).lower() == wanted)
    elif any(one.system for one in assigned):
        assigned = tuple(one for one in assigned if one.system)
    if not assigned:
        raise errors.bad_request("Identity not found")
    if len(assigned) > 1:
        raise errors.bad_request(
            "Multiple user assigned identities exist, please specify the clientId / resourceId "
            "of the identity in the token request"
        )
    return assigned[0]


def _issue(emulator: Emulator, chosen: Identity, resource: str, *, bypass: bool) -> CachedToken:
    key = (chosen.object_id, resource)
    with emulator.lock:
        now = emulator.clock().replace(microsecond=0)
        cached = emulator.issued.get(key)
        if cached is None or bypass or now - cached.issued >= _RENEW:
            claims = _claims(emulator.vm.tenant_id, chosen, resource, now)
            cached = CachedToken(now, emulator.tokens.sign(claims))
            emulator.issued[key] = cached
        return cached


def _claims(tenant: str, chosen: Identity, resource: str, now: datetime) -> dict[str, object]:
    issuer = f"https://sts.windows.net/{tenant}/"
    return {
        "aud": resource,
        "iss": issuer,
        "iat": int(now.timestamp()),
        "nbf": int((now - _CLOCK_SKEW).timestamp()),
        "exp": int((now + LIFETIME).timestamp()),
        "appid": chosen.client_id,
        "appidacr": "2",
        "idp": issuer,
        "idtyp": "app",
        "oid": chosen.object_id,
        "sub": chosen.object_id,
        "tid": tenant,
        "uti": uuid.uuid4().hex,
        "ver": "1.0",
        "xms_mirid": chosen.msi_res_id,
    }
