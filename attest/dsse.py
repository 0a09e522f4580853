"""DSSE, the Dead Simple Signing Envelope, version 1, with Ed25519 (RFC 8032).

A signature is over the pre-authentication encoding (PAE) of payload type and payload, so what was
signed as one thing is never taken for another, and nothing is parsed before it is authentic.
https://github.com/secure-systems-lab/dsse
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pybase64
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attest import strictjson

MAX_ENVELOPE = 4 * 1024 * 1024
MAX_SIGNATURES = 64
MAX_KEY_FILE = 16 * 1024
# What the loaders raise for a file that is no key, or one that they cannot use.
_NO_KEY = (ValueError, TypeError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope.

    Attributes:
        sig: the signature.
        keyid: which key is said to have made it; nobody vouches for that, nothing depends on it.
    """

    sig: bytes
    keyid: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and its signatures, of which none is verified yet.

    Attributes:
        payload_type: what the payload is.
        payload: what is signed, together with its type.
        signatures: in the order of the file.
    """

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...] = ()

    def encode(self) -> bytes:
        """Return the envelope as JSON."""
        signatures = [
            {"keyid": item.keyid, "sig": _encode_base64(item.sig)} for item in self.signatures
        ]
        envelope = {
            "payload": _encode_base64(self.payload),
            "payloadType": self.payload_type,
            "signatures": signatures,
        }
        return f"{json.dumps(envelope, indent=1)}\n".encode()

    def signed_with(self, key: Ed25519PrivateKey) -> Envelope:
        """Return the envelope with this key's signature, in place of an earlier one of it."""
        own = key_id(key.public_key())
        others = [item for item in self.signatures if item.keyid != own]
        made = Signature(key.sign(pae(self.payload_type, self.payload)), own)
        return replace(self, signatures=(*others, made))

    def signers(self, keys: Iterable[Ed25519PublicKey]) -> frozenset[str]:
        """Return the ids of those of the keys that signed, each once."""
        message = pae(self.payload_type, self.payload)
        return frozenset(
            key_id(key)
            for key in keys
            if any(_is_signature(key, item.sig, message) for item in self.signatures)
        )


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: the pre-authentication encoding of the type and the payload."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_envelope(data: bytes) -> Envelope:
    """Parse an envelope.  Members that are not known are ignored, as DSSE demands.

    Raises:
        ValueError: it is too large, or not an envelope.
    """
    if len(data) > MAX_ENVELOPE:
        raise ValueError(f"more than {MAX_ENVELOPE} octets")
    fields = strictjson.loads_object(strictjson.decode_utf8(data), max_brackets=4 * MAX_SIGNATURES)
    signatures = fields.get("signatures")
    if not isinstance(signatures, list) or len(signatures) > MAX_SIGNATURES:
        raise ValueError(f"signatures is not a list of at most {MAX_SIGNATURES}")
    return Envelope(
        payload_type=_text(fields.get("payloadType"), "payloadType"),
        payload=_decode_base64(fields.get("payload"), "payload"),
        signatures=tuple(_parse_signature(item) for item in signatures),
    )


def key_id(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of the key's SubjectPublicKeyInfo, in hexadecimal."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def load_public_key(pem: bytes) -> Ed25519PublicKey:
    """Read a public key, as ``openssl pkey -pubout`` writes it.

    Raises:
        ValueError: it is not an Ed25519 key, or not one alone.
    """
    _refuse_several(pem)
    try:
        key = serialization.load_pem_public_key(pem)
    except _NO_KEY:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 public key (PEM)")  # noqa: TRY004 - the file is wrong
    return key


def load_private_key(pem: bytes) -> Ed25519PrivateKey:
    """Read a private key without a password, as ``openssl genpkey`` writes it.

    Raises:
        ValueError: it is not an Ed25519 key, not one alone, or needs a password.
    """
    _refuse_several(pem)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except _NO_KEY:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        msg = "not an Ed25519 private key (PEM) without a password"
        raise ValueError(msg)  # noqa: TRY004 - the file is wrong
    return key


def _refuse_several(pem: bytes) -> None:
    # The loaders take the first and say nothing of the others: where all of the keys must sign,
    # a file of two would demand one.
    if pem.count(b"-----BEGIN") > 1:
        raise ValueError("more than one PEM block; a file holds one key")


def _parse_signature(item: object) -> Signature:
    if not isinstance(item, dict):
        raise ValueError("a signature is not an object")  # noqa: TRY004 - one exception for all
    keyid = item.get("keyid")
    return Signature(
        sig=_decode_base64(item.get("sig"), "sig"),
        keyid="" if keyid is None else _text(keyid, "keyid"),
    )


def _is_signature(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a text")  # noqa: TRY004 - one exception for all
    return value


def _encode_base64(data: bytes) -> str:
    return pybase64.b64encode(data).decode()


def _decode_base64(value: object, name: str) -> bytes:
    # Both alphabets of RFC 4648, as DSSE demands; one spelling of each value.
    text = _text(value, name)
    standard = text.replace("-", "+").replace("_", "/")
    mixed = standard != text and ("+" in text or "/" in text)
    with contextlib.suppress(ValueError):
        data = pybase64.b64decode(standard, validate=True)
        if not mixed and _encode_base64(data) == standard:
            return data
    raise ValueError(f"{name} is not base64")
