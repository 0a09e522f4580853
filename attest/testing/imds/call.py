"""One request to ``/metadata``, checked in the order in which the fake checks everything.

1. faults on demand; 2. ``X-Forwarded-For``; 3. ``Metadata: true``; 4. the rate; 5. the method;
6. duplicate query names; 7. the api-version.  The order is an assumption; the checks are the
page's ("Security", "Version", "Errors and debugging").
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from flask import Request, Response

from attest.testing.imds import errors
from attest.testing.imds.state import Emulator
from attest.testing.imds.versions import CATEGORIES, is_supported, supported

_UNVERSIONED = "versions"
_VERSION = "api-version"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed the checks.

    Attributes:
        category: the first segment below ``/metadata``.
        route: the segments after it.
        version: the api-version, "" for ``/metadata/versions``.
        query: the other query parameters.
        method: GET or POST.
        body: what was posted.
    """

    category: str
    route: tuple[str, ...]
    version: str
    query: dict[str, str]
    method: str
    body: bytes


Handler = Callable[[Call, Emulator], Response]


def is_identity(path: str) -> bool:
    """Tell whether a path is in the category whose errors have a shape of their own."""
    return path == "/metadata/identity" or path.startswith("/metadata/identity/")


def check(request: Request, emulator: Emulator) -> Call:
    """Apply the checks.

    Raises:
        RefusalError: one failed.
    """
    path = request.path
    status = emulator.due_fault(path)
    if status is not None:
        raise errors.too_many_requests(1) if status == 429 else errors.on_demand(status)  # noqa: PLR2004
    if "X-Forwarded-For" in request.headers:
        raise errors.bad_request("The X-Forwarded-For header is not allowed")
    if request.headers.get("Metadata", "").strip().lower() != "true":
        raise errors.bad_request("Required metadata header not specified")
    limit = emulator.identity_limit if is_identity(path) else emulator.limit
    if not limit.admit():
        raise errors.too_many_requests(1)
    category, *route = path.removeprefix("/metadata").strip("/").split("/")
    allowed = ("GET", "POST") if category == "scheduledevents" else ("GET",)
    if request.method not in allowed:
        raise errors.method_not_allowed(allowed)
    query = _query(request)
    version = query.pop(_VERSION, None)
    if category != _UNVERSIONED:
        _check_version(category, version, emulator.newest)
    body = request.get_data() if request.method == "POST" else b""
    return Call(category, tuple(route), version or "", query, request.method, body)


def _query(request: Request) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in request.args.items(multi=True):
        if name in query:
            raise errors.bad_request(f"The query parameter {name!a} is given more than once")
        query[name] = value
    return query


def _check_version(category: str, version: str | None, newest: str) -> None:
    known = supported(newest)
    good = version is not None and (
        is_supported(category, version, newest) if category in CATEGORIES else version in known
    )
    if not good:
        raise errors.api_version(version, known)


def versions(call: Call, emulator: Emulator) -> Response:
    """Answer ``/metadata/versions``: ``{"apiVersions": [...]}``, oldest first, unversioned."""
    if call.route:
        raise errors.not_found()
    return reply({"apiVersions": list(supported(emulator.newest))})


def reply(body: object, status: int = 200) -> Response:
    """Return JSON as IMDS does: compact, ``application/json; charset=utf-8``."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Response(text, status, content_type="application/json; charset=utf-8")
