"""Step 1: from what a caller was handed to the DER octets of a CMS ContentInfo.

IMDS answers ``{"encoding": "pkcs7", "signature": "<base64>"}``; callers pass that text, the
parsed object, the base64 alone, PEM as openssl writes it, or the DER.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pybase64

from attest import strictjson
from attest.errors import Code, EvidenceError

MAX_DER = 64 * 1024
# The base64 of the largest DER, with room for line breaks and the JSON around it.
MAX_TEXT = 96 * 1024

_PEM = re.compile(r"-----BEGIN (PKCS7|CMS)-----([^-]*)-----END \1-----")
_NO_WHITE_SPACE = str.maketrans("", "", " \t\r\n")


def decode_evidence(evidence: object) -> bytes:
    """Return the DER octets that the evidence holds, not yet parsed.

    Args:
        evidence: IMDS JSON, base64 or PEM text (``str``), DER (``bytes``), or the parsed IMDS
            JSON (a mapping with ``signature`` and, if present, ``encoding`` = ``"pkcs7"``).
            Base64 (RFC 4648 section 4) may hold ASCII white space between characters.

    Returns:
        At most 65,536 octets.

    Raises:
        EvidenceError: ``evidence_too_large``, ``evidence_not_base64`` or ``evidence_malformed``.
        TypeError: the evidence is of none of these types.
    """
    if isinstance(evidence, bytes):
        return _bounded(evidence)
    if isinstance(evidence, str):
        if len(evidence) > MAX_TEXT:
            _refuse_size(len(evidence), MAX_TEXT, "characters")
        return _decode_text(evidence)
    if isinstance(evidence, Mapping):
        return _decode_mapping(evidence)
    msg = f"evidence must be str, bytes or a mapping, not {type(evidence).__name__}"
    raise TypeError(msg)


def _decode_text(text: str) -> bytes:
    start = text.lstrip()[:1]
    if start == "-":
        return _decode_pem(text)
    if start != "{":
        return _decode_base64(text)
    try:
        return _decode_mapping(strictjson.loads_object(text))
    except (ValueError, RecursionError) as error:
        raise EvidenceError(Code.EVIDENCE_MALFORMED, f"not IMDS JSON: {error}") from None


def _decode_pem(text: str) -> bytes:
    match = _PEM.fullmatch(text.strip())
    if match is None:
        msg = "not exactly one PEM block of PKCS7 or CMS (RFC 7468 sections 8 and 9)"
        raise EvidenceError(Code.EVIDENCE_MALFORMED, msg)
    return _decode_base64(match[2])


def _decode_mapping(evidence: Mapping[str, object]) -> bytes:
    encoding = evidence.get("encoding", "pkcs7")
    if not isinstance(encoding, str) or encoding != "pkcs7":
        raise EvidenceError(Code.EVIDENCE_MALFORMED, "the encoding is not 'pkcs7'")
    signature = evidence.get("signature")
    if not isinstance(signature, str):
        msg = "the IMDS JSON has no signature string"
        raise EvidenceError(Code.EVIDENCE_MALFORMED, msg)
    return _decode_base64(signature)


def _decode_base64(text: str) -> bytes:
    if len(text) > MAX_TEXT:
        _refuse_size(len(text), MAX_TEXT, "characters")
    try:
        return _bounded(pybase64.b64decode(text, validate=True))
    except ValueError:
        # Only now, since IMDS itself writes none: is it the white space?
        text = text.translate(_NO_WHITE_SPACE)
    try:
        return _bounded(pybase64.b64decode(text, validate=True))
    except ValueError as error:
        msg = f"not base64 (RFC 4648 section 4): {error}"
        raise EvidenceError(Code.EVIDENCE_NOT_BASE64, msg) from None


def _bounded(der: bytes) -> bytes:
    if len(der) > MAX_DER:
        _refuse_size(len(der), MAX_DER, "octets")
    if not der:
        raise EvidenceError(Code.EVIDENCE_MALFORMED, "the evidence is empty")
    return der


def _refuse_size(size: int, limit: int, unit: str) -> None:
    msg = f"{size} {unit}; the limit is {limit}"
    raise EvidenceError(Code.EVIDENCE_TOO_LARGE, msg)
