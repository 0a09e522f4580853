"""Tests of attest.strictjson."""

from __future__ import annotations

import pytest

from attest.strictjson import MAX_BRACKETS, decode_utf8, loads_object


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", {}),
        (' \t\r\n{"a": 1} \n', {"a": 1}),
        ('{"a": [true, null, -1.5e3, "\\u00e9"]}', {"a": [True, None, -1500.0, "é"]}),
        ('{"a": {"b": 1}, "c": {"b": 2}}', {"a": {"b": 1}, "c": {"b": 2}}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"a": 1e-999}', {"a": 0.0}),
    ],
)
def test_json_is_read(text: str, expected: object) -> None:
    """What RFC 8259 allows is read as it says."""
    assert loads_object(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "[]",
        "[{}]",
        '"a"',
        "{",
        "{}}",
        "{}{}",
        "{} x",
        "\ufeff{}",
        "\u00a0{}",
        "{}\x0c",
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": 01}',
        '{"a": +1}',
        '{"a": 0x1}',
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": -1e999}',
        '{"a": 1, "a": 1}',
        '{"a": 1, "\\u0061": 2}',
        '{"a": {"b": 1, "b": 1}}',
        '{"a": [{"b": 1, "b": 1}]}',
        '{"a": "\\ud800"}',
        '{"a": "\\udc00\\ud800"}',
        '{"\\ud800": 1}',
        '{"a": ["\\ud800"]}',
        '{"a": {"b": "\\ud800"}}',
        '{"a": "\n"}',
        '{"a": "\x00"}',
        '{"a": "\\x41"}',
        '{"a": 1 // no\n}',
        pytest.param('{"a": ' + "9" * 5000 + "}", id="huge"),
    ],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    """What Python's reader would let pass, and two readers could see differently, is refused."""
    with pytest.raises(ValueError, match=r"."):
        loads_object(text)


def test_nesting_is_bounded() -> None:
    """The bound holds exactly, for objects and lists together."""
    depth = MAX_BRACKETS - 1
    assert loads_object('{"a":' + "[" * depth + "]" * depth + "}")
    with pytest.raises(ValueError, match="more than 128 brackets"):
        loads_object('{"a":' + "[" * (depth + 1) + "]" * (depth + 1) + "}")
    assert loads_object('{"a": {}}', max_brackets=2)
    with pytest.raises(ValueError, match="more than 1 brackets"):
        loads_object('{"a": {}}', max_brackets=1)


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xfe\xff\0{"],
)
def test_utf8_is_strict(data: bytes) -> None:
    """Overlong forms, surrogates and cut sequences are no UTF-8 (RFC 3629)."""
    with pytest.raises(ValueError, match="utf-8"):
        decode_utf8(data)


def test_utf8_is_decoded() -> None:
    """Valid UTF-8 is decoded whole; a byte order mark stays for the reader to refuse."""
    assert decode_utf8("é\U0001f600".encode()) == "é\U0001f600"
    assert decode_utf8(b"\xef\xbb\xbf{}") == "\ufeff{}"
