"""What an endpoint declares: enough to serve it, to guard it and to document it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Request, Response, request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import Headers

from service.decisions import why_invalid
from service.encoding import decode_object
from service.errors import ProblemError, ProblemType
from service.keys import Scope

_M = TypeVar("_M", bound=BaseModel)

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    Attributes:
        name: its name in metrics and in the OpenAPI document.
        method: the HTTP method.
        path: the path, without parameters.
        summary: what it does, in a line.
        view: the function that answers.
        scope: which scope a key needs; ``None`` where none is asked for.
        request: the model of the body, ``None`` where there is none.
        status: the status of success.
        response: the model of a success, or its media type where it is not JSON.
        problems: the problems that it can end with, beside those that any can.
        max_body: the largest body, in octets.
        also: further statuses that answer with the model.
    """

    name: str
    method: str
    path: str
    summary: str
    view: Callable[[], Response]
    response: type[BaseModel] | str
    scope: Scope | None = None
    request: type[BaseModel] | None = None
    status: int = 200
    problems: tuple[ProblemType, ...] = ()
    max_body: int = 0
    also: tuple[int, ...] = ()


def read_object() -> dict[str, object]:
    """Return the JSON object in the request's body.

    Raises:
        ProblemError: the body is of another type, too large, or no JSON object.
    """
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    # Nearly every client writes just this; only other spellings are worth a parser.
    if asked.environ.get("CONTENT_TYPE") != JSON and asked.mimetype != JSON:
        raise ProblemError(ProblemType.UNSUPPORTED_MEDIA_TYPE, f"the body must be {JSON}")
    try:
        return decode_object(_read_body(asked))
    except (ValueError, RecursionError) as error:
        detail = f"the body is not a JSON object: {error}".encode("ascii", "replace").decode()
        raise ProblemError(ProblemType.MALFORMED_REQUEST, detail[:300]) from None


def _read_body(asked: Request) -> bytes:
    length = asked.environ.get("CONTENT_LENGTH", "")
    if not length.isdecimal():
        return asked.get_data(cache=False)  # chunked: Werkzeug counts along
    # That the length is within the limit was made sure of before.
    body: bytes = asked.environ["wsgi.input"].read(int(length))
    if len(body) != int(length):
        raise ProblemError(ProblemType.MALFORMED_REQUEST, "the body is shorter than announced")
    return body


def read_body(model: type[_M]) -> _M:
    """Return the request's body as its model.

    Raises:
        ProblemError: the body is not what the model says.
    """
    try:
        return model.model_validate(read_object())
    except (ValidationError, OverflowError) as error:
        detail = why_invalid(error) if isinstance(error, ValidationError) else str(error)
        raise ProblemError(ProblemType.MALFORMED_REQUEST, detail) from None


class _JsonResponse(Response):
    """A response whose headers are complete when it is made."""

    def get_wsgi_headers(self, environ: dict[str, Any]) -> Headers:  # noqa: ARG002 - Werkzeug's
        """Return the headers as they are."""
        return self.headers


def json_response(body: bytes, status: int = 200) -> Response:
    """Return a response with JSON that is encoded already."""
    headers = {"Content-Length": str(len(body))}
    return _JsonResponse([body], status, headers, content_type=JSON)
