"""JSON as RFC 8259 has it, and not a byte more.

``json.loads`` takes UTF-16, a byte order mark, NaN, repeated names and lone surrogates.  Each
has been used to make two readers of one document see two different things.
"""

from __future__ import annotations

import json
import math
from typing import NoReturn

# A text with no more brackets than this cannot nest deeper than this.
MAX_BRACKETS = 128
_WHITE_SPACE = " \t\n\r"  # RFC 8259 section 2


def loads_object(data: str, *, max_brackets: int = MAX_BRACKETS) -> dict[str, object]:
    """Parse one JSON object.

    Args:
        data: the text; the caller has bounded its size.
        max_brackets: how many ``{`` and ``[`` it may hold, and so how deep it may nest.

    Raises:
        ValueError: the text is not exactly one JSON object, starts with a byte order mark,
            repeats a name, holds NaN, an infinity or a lone surrogate, or has too many
            brackets.
    """
    if data.count("{") + data.count("[") > max_brackets:
        msg = f"more than {max_brackets} brackets"
        raise ValueError(msg)
    text = data.strip(_WHITE_SPACE)
    value, end = _DECODER.raw_decode(text)
    if end != len(text) or not isinstance(value, dict):
        msg = "not exactly one JSON object"
        raise ValueError(msg)
    if "\\u" in data:
        _refuse_surrogates(value)
    return value


def decode_utf8(data: bytes) -> str:
    """Decode UTF-8 strictly (RFC 3629: no surrogates, no overlong forms, nothing ignored).

    Raises:
        ValueError: the octets are not UTF-8.
    """
    return data.decode("utf-8", "strict")


def _refuse_surrogates(value: object) -> None:
    # Only an escape can make one: the text itself was valid Unicode.
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_surrogates(key)
            _refuse_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_surrogates(item)


def _unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        msg = "a name is repeated"
        raise ValueError(msg)
    return result


def _refuse_constant(constant: str) -> NoReturn:
    msg = f"{constant} is not JSON"
    raise ValueError(msg)


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        msg = "a number is out of range"
        raise ValueError(msg)
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_names, parse_constant=_refuse_constant, parse_float=_finite_float
)
