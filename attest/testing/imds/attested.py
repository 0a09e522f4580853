"""``/metadata/attested/document``: the signed document, as each api-version has it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import cast

from flask import Response

from attest.testing.imds import errors, signing
from attest.testing.imds.call import Call
from attest.testing.imds.schema import ATTESTED_FIELDS
from attest.testing.imds.state import CachedDocument, Emulator

# How long IMDS gives the same document again: the page tells only that it may.
CACHE_LIFETIME = timedelta(minutes=5)
_MAX_NONCE = 32


def attested(call: Call, emulator: Emulator) -> Response:
    """Answer a request for the document.

    Raises:
        RefusalError: 404 for another element; 400 for a nonce of more than 32 characters, or of
            others than letters and digits (REST specification), or another format than json.
    """
    if call.route != ("document",):
        raise errors.not_found()
    if call.query.get("format", "json") != "json":
        raise errors.bad_request("The format is not supported: json")
    nonce = call.query.get("nonce", "")
    if nonce and (len(nonce) > _MAX_NONCE or not (nonce.isascii() and nonce.isalnum())):
        raise errors.bad_request(f"The nonce is not 1 to {_MAX_NONCE} letters and digits")
    text = _document(call.version, nonce or None, emulator)
    return Response(text, content_type="application/json; charset=utf-8")


def _document(version: str, nonce: str | None, emulator: Emulator) -> str:
    if not emulator.cache_nonce:
        return _signed(version, nonce, emulator)
    with emulator.lock:
        now = emulator.clock()
        cached = emulator.documents.get(version)
        if cached is None or now - cached.at >= CACHE_LIFETIME:
            cached = CachedDocument(now, _signed(version, nonce, emulator))
            emulator.documents[version] = cached
        return cached.body


def _signed(version: str, nonce: str | None, emulator: Emulator) -> str:
    omitted = frozenset(key for key, since in ATTESTED_FIELDS.items() if since > version)
    facts = signing.Facts(fields=_fields(emulator), omitted=omitted, nonce=nonce)
    return signing.sign(emulator.authority, facts, emulator.clock(), fault=emulator.fault)


def _fields(emulator: Emulator) -> dict[str, object]:
    compute = emulator.vm.compute
    texts = {key: str(compute[key]) for key in ("licenseType", "sku", "subscriptionId")}
    plan = dict(cast("Mapping[str, str]", compute["plan"]))
    if emulator.vm.classic:
        texts = dict.fromkeys(texts, "")
        plan = dict.fromkeys(plan, "")
    return {**texts, "plan": plan, "vmId": str(compute["vmId"])}
