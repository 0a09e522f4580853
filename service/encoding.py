"""JSON on its way in, strictly, and on its way out."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from uuid import UUID

import orjson

from attest.strictjson import decode_utf8, loads_object
from attest.times import rfc3339

MAX_BRACKETS = 100_000  # a batch of a thousand items with their lists, and not deep nesting
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS


def decode_object(body: bytes) -> dict[str, object]:
    """Decode one JSON object (RFC 8259), in which no name is repeated.

    A batch is megabytes of base64, over which orjson is several times as fast as Python's own
    decoder.  Of a repeated name it keeps the last value and says nothing; but then it returns
    fewer strings than the text has.  Only without escapes does each string show as two quotes,
    so a text that has any goes to the slow decoder.

    Raises:
        ValueError: the body is anything else, or has more than 100,000 brackets.
    """
    if b"\\" in body:
        return loads_object(decode_utf8(body), max_brackets=MAX_BRACKETS)
    if body.count(b"{") + body.count(b"[") > MAX_BRACKETS:
        raise ValueError(f"more than {MAX_BRACKETS} brackets")
    value = orjson.loads(body)
    if not isinstance(value, dict):
        raise ValueError("not exactly one JSON object")  # noqa: TRY004 - the caller's data
    if body.count(b'"') != 2 * _count_strings(value):
        raise ValueError("a name is repeated")
    return value


def _count_strings(value: object) -> int:
    count, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            count += 1
        elif isinstance(item, dict):
            count += len(item)
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return count


def encode(value: object) -> bytes:
    """Encode JSON values compactly, in UTF-8, and with them dataclasses, UUIDs and times.

    Times are written as RFC 3339 has them, in UTC and to the second.
    """
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError:
        # An integer of more than 64 bits: Azure may sign any in a field that we do not know.
        return json.dumps(value, default=_simplify, separators=(",", ":")).encode()


def _simplify(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, UUID):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} is no JSON value")
