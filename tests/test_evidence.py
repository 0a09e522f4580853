"""Tests of attest.evidence: step 1."""

from __future__ import annotations

import base64
import json
from types import MappingProxyType

import pytest

from attest import Code
from attest.evidence import MAX_DER, MAX_TEXT, decode_evidence
from tests.support.refusal import refused

DER = bytes(range(256))
TEXT = base64.b64encode(DER).decode("ascii")


@pytest.mark.parametrize(
    "evidence",
    [
        DER,
        TEXT,
        f" {TEXT}\r\n",
        "\n".join(TEXT[start : start + 64] for start in range(0, len(TEXT), 64)),
        "\t".join(TEXT),
        {"signature": TEXT},
        {"encoding": "pkcs7", "signature": TEXT},
        {"encoding": "pkcs7", "signature": TEXT, "more": [1]},
        MappingProxyType({"signature": f"{TEXT}\n"}),
        json.dumps({"encoding": "pkcs7", "signature": TEXT}),
        f"\n {json.dumps({'signature': TEXT})} \n",
    ],
    ids=range(11),
)
def test_every_form_gives_the_same_octets(evidence: object) -> None:
    """DER, base64, IMDS JSON and the parsed object are one evidence."""
    assert decode_evidence(evidence) == DER


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "abc",
        "ab=c",
        "abcd=",
        "ab==cd==",
        "abc-",
        "abc_",
        "abcd!",
        "ab\x0bcd",
        "ab\u00a0cd",
        "ａbcd",
        "\ufeffabcd",
        "abcd\0",
        "[]",
    ],
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    """Base64 is strict: its own alphabet, its padding, nothing skipped but white space."""
    for evidence in (text, {"signature": text}, json.dumps({"signature": text})):
        with refused(Code.EVIDENCE_NOT_BASE64, 1):
            decode_evidence(evidence)


@pytest.mark.parametrize(
    "evidence",
    [
        "",
        " \n",
        b"",
        "{",
        "{}",
        '{"signature": null}',
        '{"signature": 1}',
        '{"signature": ["MAA="]}',
        '{"signature": ""}',
        '{"Signature": "MAA="}',
        '{"encoding": "cms", "signature": "MAA="}',
        '{"encoding": "PKCS7", "signature": "MAA="}',
        '{"encoding": null, "signature": "MAA="}',
        '{"signature": "MAA=", "signature": "MAE="}',
        '{"signature": "MAA="} {"signature": "MAA="}',
        '{"signature": "MAA=", "x": NaN}',
        '\u00a0{"signature": "MAA="}',
        '{"signature": "MAA=", "x": ' + "[" * 200 + "]" * 200 + "}",
        {},
        {"signature": b"MAA="},
        {"encoding": 7, "signature": "MAA="},
        {"encoding": ["pkcs7"], "signature": "MAA="},
    ],
    ids=range(22),
)
def test_what_is_not_evidence_is_malformed(evidence: object) -> None:
    """Nothing, JSON that is not IMDS's, and JSON with two readings are refused."""
    with refused(Code.EVIDENCE_MALFORMED, 1):
        decode_evidence(evidence)


def _nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "encoding",
    [10**5000, [10**5000], _nested(5000), object()],
    ids=["huge", "within", "deep", "any"],
)
def test_a_mapping_holds_anything(encoding: object) -> None:
    """A parsed object whose encoding cannot even be shown is refused like any other."""
    with refused(Code.EVIDENCE_MALFORMED, 1):
        decode_evidence({"encoding": encoding, "signature": TEXT})


@pytest.mark.parametrize("label", ["PKCS7", "CMS"])
def test_pem_is_read(label: str) -> None:
    """One block, as openssl writes it (RFC 7468 sections 8 and 9)."""
    lines = "\n".join(TEXT[start : start + 64] for start in range(0, len(TEXT), 64))
    pem = f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"
    assert decode_evidence(pem) == DER
    assert decode_evidence(f"\n{pem}\n") == DER


@pytest.mark.parametrize(
    "pem",
    [
        "-",
        "-----BEGIN PKCS7-----",
        f"-----BEGIN PKCS7-----\n{TEXT}\n",
        f"-----BEGIN PKCS7-----\n{TEXT}\n-----END CMS-----",
        f"-----BEGIN CERTIFICATE-----\n{TEXT}\n-----END CERTIFICATE-----",
        f"-----BEGIN CMS-----\n{TEXT}\n-----END CMS-----\n" * 2,
        f"-----BEGIN CMS-----\n{TEXT}\n-----END CMS-----\nmore",
    ],
    ids=range(7),
)
def test_pem_is_one_block(pem: str) -> None:
    """Neither none, nor two, nor another kind, nor anything beside it."""
    with refused(Code.EVIDENCE_MALFORMED, 1, "PEM"):
        decode_evidence(pem)


def test_pem_holds_base64() -> None:
    """What stands between the lines is decoded as strictly as anywhere."""
    with refused(Code.EVIDENCE_NOT_BASE64, 1):
        decode_evidence("-----BEGIN CMS-----\n!\n-----END CMS-----")
    with refused(Code.EVIDENCE_MALFORMED, 1, "empty"):
        decode_evidence("-----BEGIN CMS-----\n-----END CMS-----")


@pytest.mark.parametrize("evidence", [None, 7, [TEXT], bytearray(DER), memoryview(DER)])
def test_other_types_are_the_callers_mistake(evidence: object) -> None:
    """A type that no contract allows is a TypeError, not a refusal."""
    with pytest.raises(TypeError, match="str, bytes or a mapping"):
        decode_evidence(evidence)


def test_limits_hold_exactly() -> None:
    """64 KiB of DER pass and one octet more does not, however they are written."""
    largest, larger = bytes(MAX_DER), bytes(MAX_DER + 1)
    for wrap in (bytes, _text, _json):
        assert decode_evidence(wrap(largest)) == largest
        with refused(Code.EVIDENCE_TOO_LARGE, 1, "65537 octets; the limit is 65536"):
            decode_evidence(wrap(larger))


@pytest.mark.parametrize("start", ["", "{", '{"signature":"', " "])
def test_long_text_is_refused_before_it_is_read(start: str) -> None:
    """The size is checked before anything is decoded."""
    text = start.ljust(MAX_TEXT + 1, "A")
    with refused(Code.EVIDENCE_TOO_LARGE, 1, "98305 characters"):
        decode_evidence(text)
    with refused(Code.EVIDENCE_TOO_LARGE, 1, "98305 characters"):
        decode_evidence({"signature": text})


def _text(der: bytes) -> str:
    return base64.b64encode(der).decode("ascii")


def _json(der: bytes) -> str:
    return json.dumps({"signature": _text(der)})
