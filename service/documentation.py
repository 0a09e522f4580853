"""The OpenAPI document, made from what the endpoints declare, and a page that shows it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from flask import Response, render_template
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.encoding import encode
from service.endpoint import JSON, Endpoint, json_response
from service.errors import ProblemType
from service.schemas import Problem

_PROBLEM = "application/problem+json"
_REF = "#/components/schemas/{model}"
# What any endpoint may answer with; a guarded one, the second tuple as well.
_ANYWHERE = (ProblemType.INTERNAL_ERROR, ProblemType.BODY_TOO_LARGE, ProblemType.MALFORMED_REQUEST)
_GUARDED = (
    ProblemType.UNAUTHENTICATED,
    ProblemType.FORBIDDEN,
    ProblemType.RATE_LIMITED,
    ProblemType.UNAVAILABLE,
)
_ABOUT = """\
Verifies attested documents of the Azure Instance Metadata Service. `POST /v1/verify` answers 200
only when a document is verified; every other answer of it means no. Problems are RFC 9457, their
`code` is stable."""

Json = dict[str, Any]


class DocumentationApi:
    """The views, with the endpoints that they describe."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = list(endpoints)

    @functools.cached_property
    def _document(self) -> Json:
        return make_openapi([*self._endpoints, *self.endpoints()])

    def openapi(self) -> Response:
        """``GET /openapi.json``."""
        return json_response(encode(self._document))

    def docs(self) -> Response:
        """``GET /docs``: the document for people; one page without scripts or other files."""
        response = Response(render_template("docs.html", document=self._document))
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def endpoints(self) -> list[Endpoint]:
        """Declare them."""
        return [
            Endpoint(
                name="openapi",
                method="GET",
                path="/openapi.json",
                summary="This document.",
                view=self.openapi,
                response=JSON,
            ),
            Endpoint(
                name="docs",
                method="GET",
                path="/docs",
                summary="This document for people.",
                view=self.docs,
                response="text/html",
            ),
        ]


def make_openapi(endpoints: Iterable[Endpoint]) -> Json:
    """Return the OpenAPI 3.1 document of the endpoints."""
    endpoints = list(endpoints)
    models: list[tuple[type[BaseModel], Any]] = [(Problem, "serialization")]
    for endpoint in endpoints:
        if endpoint.request is not None:
            models.append((endpoint.request, "validation"))
        if isinstance(endpoint.response, type):
            models.append((endpoint.response, "serialization"))
    references, definitions = models_json_schema(models, ref_template=_REF)
    schemas = {(model, mode): schema for (model, mode), schema in references.items()}
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schemas)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imds-attest",
            "version": version("imds-attest"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of `attest keys new`; needed once one exists.",
                }
            },
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[Any, Json]) -> Json:
    content: Json
    if isinstance(endpoint.response, str):
        content = {endpoint.response: {"schema": {} if endpoint.response == JSON else _TEXT}}
    else:
        content = {JSON: {"schema": schemas[endpoint.response, "serialization"]}}
    responses: dict[str, Json] = {
        str(status): {"description": endpoint.summary, "content": content}
        for status in (endpoint.status, *endpoint.also)
    }
    problems = dict.fromkeys((*endpoint.problems, *_ANYWHERE))
    if endpoint.scope is not None:
        problems |= dict.fromkeys(_GUARDED)
    for problem in problems:
        responses[str(problem.status)] = _problem_response(problem, schemas)
    operation: Json = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "responses": dict(sorted(responses.items())),
    }
    if endpoint.request is not None:
        body = {JSON: {"schema": schemas[endpoint.request, "validation"]}}
        operation["requestBody"] = {"required": True, "content": body}
    if endpoint.scope is not None:
        operation["security"] = [{"key": [str(endpoint.scope)]}, {}]
    return operation


def _problem_response(problem: ProblemType, schemas: dict[Any, Json]) -> Json:
    response: Json = {
        "description": problem.title,
        "content": {_PROBLEM: {"schema": schemas[Problem, "serialization"]}},
    }
    if problem in {ProblemType.RATE_LIMITED, ProblemType.UNAVAILABLE}:
        seconds = {"description": "Seconds to wait.", "schema": {"type": "string"}}
        response["headers"] = {"Retry-After": seconds}
    return response


_TEXT = {"type": "string"}
