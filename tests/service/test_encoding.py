"""JSON in and out of the service."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest import Verifier
from attest.strictjson import decode_utf8, loads_object
from attest.testing import FakeAuthority
from service.encoding import decode_object, encode
from service.rendering import Verified

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.booleans())
def test_what_is_decoded(value: dict[str, object], ascii_only: bool) -> None:
    """With escapes and without, the fast way and the slow one."""
    assert decode_object(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"nonce":"a","nonce":"b"}',
        b'{"nonce":"a","nonce":1}',
        b'{"nonce":1,"nonce":2}',
        b'{"items":[{"nonce":{"a":"b"},"nonce":null}]}',
        b'{"nonce":"a","n\\u006fnce":"b"}',
        b'{"nonce":"\\ud800"}',
        b'\xef\xbb\xbf{"nonce":"a"}',
        b'{"nonce":"\xff"}',
        b'{"nonce":NaN}',
        b'{"nonce":"a"} {}',
        b'{"nonce":"a",}',
        b'[{"nonce":"a"}]',
        b'"nonce"',
        b"",
        b'{"nonce":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"nonce":"\\t",' + b'"a":[' * 200_000 + b"]" * 200_000 + b"}",
    ],
)
def test_what_is_not(body: bytes) -> None:
    """Two readers of one body must not see two different things."""
    with pytest.raises((ValueError, RecursionError)):
        decode_object(body)


@given(st.text(alphabet='{}[],:"ab1 ', max_size=12))
def test_both_ways_agree(text: str) -> None:
    """The fast decoder takes nothing that the strict one refuses, and reads it alike."""
    try:
        expected = loads_object(decode_utf8(text.encode()))
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - either decoder's own words
            decode_object(text.encode())
    else:
        assert decode_object(text.encode()) == expected


@pytest.mark.parametrize("extra", [{}, {"x": 2**200, "y": {"z": "ü"}}])
def test_result_is_as_the_library_has_it(extra: dict[str, object]) -> None:
    """The service writes results by itself; they must say what ``to_dict`` says."""
    authority = FakeAuthority()
    at = datetime.now(UTC).replace(microsecond=0)
    fields = json.loads(authority.sign(created_on=at).content) | extra
    evidence = authority.sign(content=json.dumps(fields).encode())
    result = Verifier(authority.trust_store()).verify(evidence.json, at=at)
    written = json.loads(Verified(result, "time", test_trust=False).encode())
    expected = result.to_dict() | {"freshness": "time"}
    assert written == json.loads(json.dumps(expected))


def test_only_json_values() -> None:
    """What is no JSON value is an error, not a text that happens to describe it."""
    with pytest.raises(TypeError):
        encode({"a": object()})
