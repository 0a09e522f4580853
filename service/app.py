"""The application factory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import NullSession, SessionInterface
from flask_limiter.errors import RateLimitExceeded
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import MapAdapter

from service import metrics
from service.access import guard, retry_after
from service.documentation import DocumentationApi
from service.encoding import encode
from service.endpoint import Endpoint
from service.errors import ProblemError, ProblemType, UnavailableError
from service.evidence_api import EvidenceApi
from service.frame import TRACE, Frame
from service.operator_api import OperatorApi
from service.settings import Settings, load_settings
from service.state import Clock, Service, build, system_clock

_LOG = logging.getLogger("attest.service")
_BY_STATUS = {
    problem.status: problem
    for problem in ProblemType
    if problem not in {ProblemType.EVIDENCE_REJECTED, ProblemType.CHAIN_REJECTED}
}


class _NoSessions(SessionInterface):
    """There are none: whoever asks shows a key."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002 - Flask's
        """Return what refuses to hold anything."""
        return self._none


class _Application(Flask):
    """Flask without what it does at each request for other kinds of application."""

    session_interface = _NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: views and hooks are plain ones here."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match paths: no rule depends on the host, so what a client says of it is not read."""
        if request is None:
            return None
        return self.url_map.bind("localhost", path_info=request.path, default_method=request.method)


def create_app(settings: Settings | None = None, *, clock: Clock = system_clock) -> Flask:
    """Make the WSGI application; opens no connection before the first request.

    Args:
        settings: by default what the environment and its settings file say.
        clock: tells the time, aware.

    Raises:
        SettingsError: the settings, or the trust store that they name, cannot be used.
    """
    settings = load_settings() if settings is None else settings
    service = build(settings, clock)
    app = _Application("service", static_folder=None)
    app.url_map.merge_slashes = False  # no redirects: what is not quite a path is none
    app.extensions["attest"] = service
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign] # as Werkzeug documents it
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    endpoints = [*EvidenceApi(service).endpoints(), *OperatorApi(service).endpoints()]
    endpoints += DocumentationApi(endpoints).endpoints()
    _add_routes(app, endpoints)
    guard(app, service, {endpoint.name: endpoint for endpoint in endpoints})
    _add_error_handlers(app)
    app.wsgi_app = Frame(app.wsgi_app)  # type: ignore[method-assign] # as Werkzeug documents it
    return app


def service_of(app: Flask) -> Service:
    """Return the parts of an application that :func:`create_app` made."""
    service = app.extensions["attest"]
    if not isinstance(service, Service):
        raise TypeError("not an application of this package")
    return service


def _add_routes(app: Flask, endpoints: Iterable[Endpoint]) -> None:
    for endpoint in endpoints:
        app.add_url_rule(
            endpoint.path,
            endpoint.name,
            endpoint.view,
            methods=[endpoint.method],
            provide_automatic_options=False,
        )


def _add_error_handlers(app: Flask) -> None:
    def on_problem(error: ProblemError) -> Response:
        return _respond(error)

    def on_unavailable(error: UnavailableError) -> Response:
        metrics.DATABASE_ERRORS.inc()
        _LOG.warning("database unavailable: %s", error, extra=_request_fields())
        headers = {"Retry-After": "1"}
        detail = "the database does not answer"
        return _respond(ProblemError(ProblemType.UNAVAILABLE, detail, headers=headers))

    def on_rate_limit(error: RateLimitExceeded) -> Response:
        headers = {"Retry-After": str(retry_after(error))}
        detail = f"the limit is {error.description}"
        return _respond(ProblemError(ProblemType.RATE_LIMITED, detail, headers=headers))

    def on_http_error(error: HTTPException) -> Response:
        problem = _BY_STATUS.get(error.code or 500, ProblemType.MALFORMED_REQUEST)
        headers = {}
        if "Allow" in (given := dict(error.get_headers())):
            headers["Allow"] = given["Allow"]
        return _respond(ProblemError(problem, error.name, headers=headers))

    def on_failure(error: Exception) -> Response:
        _LOG.error("request failed", exc_info=error, extra=_request_fields())
        detail = "the log of the service has more, under this request_id"
        return _respond(ProblemError(ProblemType.INTERNAL_ERROR, detail))

    app.register_error_handler(ProblemError, on_problem)
    app.register_error_handler(UnavailableError, on_unavailable)
    app.register_error_handler(RateLimitExceeded, on_rate_limit)
    app.register_error_handler(HTTPException, on_http_error)
    app.register_error_handler(Exception, on_failure)


def _respond(error: ProblemError) -> Response:
    members = error.members()
    members["request_id"] = request.environ[TRACE].request_id
    response = Response(
        encode(members), error.problem.status, content_type="application/problem+json"
    )
    response.headers.extend(error.headers)
    if error.problem is ProblemType.UNAVAILABLE:
        response.headers.setdefault("Retry-After", "1")
    return response


def _request_fields() -> dict[str, object]:
    trace = request.environ[TRACE]
    return {"fields": {"request_id": trace.request_id, "trace_id": trace.trace_id}}
