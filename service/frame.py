"""What surrounds every request, whatever it is: its trace, headers on the answer, a count.

This is WSGI around Flask, not hooks inside it: the header list of an answer is plain here, and
one call adds to it what Werkzeug's would take six for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from service import metrics
from service.tracing import Trace, read_trace

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

TRACE = "attest.trace"
ROUTE = "attest.route"  # the endpoint's name, set once it is known
_POLICY = "Content-Security-Policy"
_HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)
_STRICT_POLICY = (_POLICY, "default-src 'none'; frame-ancestors 'none'")
_HTTPS_ONLY = ("Strict-Transport-Security", "max-age=31536000")


class Frame:
    """WSGI middleware."""

    def __init__(self, application: WsgiApp) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        trace = read_trace(environ.get("HTTP_X_REQUEST_ID"), environ.get("HTTP_TRACEPARENT"))
        environ[TRACE] = trace

        def start(status: str, headers: Headers, *more: Any) -> Any:  # noqa: ANN401 - WSGI's own
            _add_headers(headers, trace, is_https=environ.get("wsgi.url_scheme") == "https")
            metrics.count_response(environ.get(ROUTE, "none"), status[:3])
            return start_response(status, headers, *more)

        return self._application(environ, start)


def _add_headers(headers: Headers, trace: Trace, *, is_https: bool) -> None:
    headers += _HEADERS
    headers.append(("X-Request-ID", trace.request_id))
    headers.append(("traceparent", trace.traceparent))
    if _POLICY not in [name for name, _ in headers]:
        headers.append(_STRICT_POLICY)
    if is_https:
        headers.append(_HTTPS_ONLY)
