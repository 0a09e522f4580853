"""The error answers of the metadata endpoint.

The page gives two bodies word for word: the one for a missing api-version, and "Required metadata
header not specified".  The REST specification gives their shape (``ErrorResponse`` and, below
``/metadata/identity``, ``IdentityErrorResponse``).  The other sentences are assumptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

_MORE = "For more information refer to aka.ms/azureimds"

# IdentityErrorResponse.error by status; invalid_request where there is none.
_IDENTITY_ERRORS = {
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.TOO_MANY_REQUESTS: "too_many_requests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "server_error",
    HTTPStatus.GONE: "service_unavailable",
}


class RefusalError(Exception):
    """An answer that is not 200.

    Attributes:
        status: the HTTP status code.
        message: what is wrong.
        extra: further members of the body.
        headers: further headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = HTTPStatus(status)
        self.message = message
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def body(self, *, identity: bool) -> dict[str, object]:
        """Return the JSON body, in the shape that the path's category has."""
        if identity:
            code = _IDENTITY_ERRORS.get(self.status, "invalid_request")
            return {"error": code, "error_description": self.message, **self.extra}
        text = self.message
        if self.status == HTTPStatus.BAD_REQUEST:
            text = f"Bad request. {self.message}"
        return {"error": text, **self.extra}


def bad_request(message: str) -> RefusalError:
    """400: the request is malformed."""
    return RefusalError(HTTPStatus.BAD_REQUEST, message)


def not_found() -> RefusalError:
    """404: the requested element does not exist."""
    return RefusalError(HTTPStatus.NOT_FOUND, "Not found")


def api_version(given: str | None, newest: tuple[str, ...]) -> RefusalError:
    """400: the api-version is missing or not supported; the newest three are listed."""
    what = "was not specified" if given is None else "is invalid or was not specified"
    return RefusalError(
        HTTPStatus.BAD_REQUEST,
        f"api-version {what} in the request. {_MORE}",
        extra={"newest-versions": list(reversed(newest[-3:]))},
    )


def method_not_allowed(allowed: tuple[str, ...]) -> RefusalError:
    """405: only GET (and POST, to scheduled events) is supported."""
    allow = {"Allow": ", ".join(allowed)}
    return RefusalError(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", headers=allow)


def too_many_requests(seconds: int) -> RefusalError:
    """429: more requests in a second than the service takes."""
    retry = {"Retry-After": str(seconds)}
    return RefusalError(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", headers=retry)


def on_demand(status: int) -> RefusalError:
    """An injected fault: 410 while the service is being updated, 500, and others."""
    return RefusalError(status, HTTPStatus(status).phrase)
