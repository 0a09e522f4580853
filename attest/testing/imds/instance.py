"""``/metadata/instance``: the tree, route parameters into it, and the format ``text``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Response

from attest.testing.imds import errors, schema
from attest.testing.imds.call import Call, reply
from attest.testing.imds.state import Emulator

_FORMATS = ("json", "text")


def instance(call: Call, emulator: Emulator) -> Response:
    """Answer a request for the tree, or for a part of it.

    Raises:
        RefusalError: 404 where the route leads nowhere, 400 for an unknown format, or for a leaf
            that is not asked for as text.
    """
    output = call.query.get("format", "json")
    if output not in _FORMATS:
        raise errors.bad_request("The format is not supported: json or text")
    cloud = emulator.authority.cloud
    tree = schema.project(emulator.vm.instance(cloud.az_environment), call.version)
    node = walk(tree, call.route)
    if output == "text":
        return Response(as_text(node), content_type="text/plain; charset=utf-8")
    if isinstance(node, str):
        raise errors.bad_request("A leaf node is available in the format text only: format=text")
    return reply(node)


def walk(tree: object, route: Sequence[str]) -> object:
    """Follow route parameters: keys of objects, and indexes of arrays from 0.

    Raises:
        RefusalError: 404, there is no such element.
    """
    node = tree
    for segment in route:
        if isinstance(node, Mapping) and segment in node:
            node = node[segment]
        elif isinstance(node, list) and segment.isascii() and segment.isdigit():
            # "01" is not an index: each element has one address.
            index = int(segment) if len(segment) < 10 else len(node)  # noqa: PLR2004
            if index >= len(node) or str(index) != segment:
                raise errors.not_found()
            node = node[index]
        else:
            raise errors.not_found()
    return node


def as_text(node: object) -> str:
    """Write a leaf as it is, and an inner node as a listing: one name a line, inner ones with /."""
    if isinstance(node, str):
        return node
    if isinstance(node, Mapping):
        return "\n".join(
            key if isinstance(value, str) else f"{key}/" for key, value in node.items()
        )
    assert isinstance(node, list)  # noqa: S101 - nothing else is in a tree
    return "\n".join(f"{index}/" for index in range(len(node)))
