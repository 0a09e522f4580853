"""Who may ask, and how often: API keys, scopes, rate limits.

The order for each request: who is it; has it asked too often; may it do this.  A wrong key
counts against the limit of its address, so that guessing is limited, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask, request
from flask_limiter import Limit, Limiter
from flask_limiter.errors import RateLimitExceeded

from service.endpoint import Endpoint
from service.errors import ProblemError, ProblemType, UnavailableError
from service.frame import ROUTE
from service.keys import ApiKey, Scope
from service.rates import LOCKED_MEMORY
from service.state import Service

KEY = "attest.key"  # where in the WSGI environment the key that was presented is
_RULE = "attest.rule"
_REFUSAL = "attest.refusal"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="imds-attest"'}
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class _Guarded:
    scope: Scope | None
    max_body: int


def guard(app: Flask, service: Service, endpoints: Mapping[str, Endpoint]) -> None:
    """Make every request to an endpoint with a scope prove that it may, within its limits."""
    outside = _Guarded(None, 0)
    guarded = {
        name: _Guarded(endpoint.scope, endpoint.max_body) for name, endpoint in endpoints.items()
    }

    def identify() -> None:
        asked = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        environ = asked.environ
        rule = guarded.get(asked.endpoint or "", outside)
        environ[ROUTE] = asked.endpoint or "none"
        environ[_RULE] = rule
        asked.max_content_length = rule.max_body
        if rule.scope is not None:
            try:
                environ[KEY] = _identify(service, environ.get("HTTP_AUTHORIZATION", ""))
            except (ProblemError, UnavailableError) as error:
                environ[_REFUSAL] = error

    def refuse() -> None:
        environ = request.environ
        if _REFUSAL in environ:
            raise environ[_REFUSAL]
        rule, key = environ[_RULE], environ.get(KEY)
        if key is not None and rule.scope not in key.scopes:
            detail = f"the key {key.name} has no scope {rule.scope}"
            raise ProblemError(ProblemType.FORBIDDEN, detail)
        length = environ.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > rule.max_body:
            detail = f"the limit is {rule.max_body} octets"
            raise ProblemError(ProblemType.BODY_TOO_LARGE, detail)

    app.before_request(identify)
    if service.settings.rate_limit_enabled:
        _limit_rates(app, service)
    app.before_request(refuse)


def _identify(service: Service, presented: str) -> ApiKey | None:
    if not presented and not service.keys.any():
        return None  # attest serve made sure that only this machine asks, or was told not to care
    key: ApiKey | None = None
    if presented[: len(_SCHEME)].lower() == _SCHEME:
        key = service.keys.authenticate(presented[len(_SCHEME) :].strip(), service.clock())
    if key is None:
        detail = "send a key in force as: Authorization: Bearer attest_..."
        raise ProblemError(ProblemType.UNAUTHENTICATED, detail, headers=_CHALLENGE)
    return key


def _limit_rates(app: Flask, service: Service) -> None:
    settings = service.settings
    in_memory = settings.rate_limit_storage == "memory://"
    Limiter(
        _address,
        app=app,
        storage_uri=LOCKED_MEMORY if in_memory else settings.rate_limit_storage,
        # Redis away: each worker counts by itself until it is back.
        in_memory_fallback_enabled=not in_memory,
        key_prefix="imds-attest",
        default_limits=[
            Limit(
                settings.rate_limit_per_address,
                key_function=_address,
                scope="address",
                exempt_when=lambda: request.environ[_RULE].scope is None,
            ),
            Limit(
                settings.rate_limit_per_key,
                key_function=lambda: request.environ[KEY].id,
                scope="key",
                exempt_when=lambda: request.environ.get(KEY) is None,
            ),
        ],
    )


def retry_after(error: RateLimitExceeded) -> int:
    """Return after how many seconds the client may try again: the limit's whole window."""
    return 1 if error.limit is None else max(1, error.limit.limit.get_expiry())


def _address() -> str:
    return request.remote_addr or "unknown"
